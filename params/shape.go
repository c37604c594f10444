package params

import (
	"errors"
	"regexp"
	"strings"
)

var (
	checkCertificate = shaped("a certificate's ARN",
		"arn:aws:acm:eu-west-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef", unlimited,
		`arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]{36}`)
	// The form is stricter than DNS: what Certificate Manager takes, without a wildcard.
	checkDomainName = shaped("a host's name",
		"proxy.example.com in lower case, without a scheme, a port or a dot at the end", 253,
		`(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?`)
	checkHostedZone = shaped("a hosted zone's id", "Z0123456789ABCDEFGHIJ, without /hostedzone/", unlimited,
		`Z[A-Z0-9]{1,31}`)
	checkGroup = shaped("a security group's id", "sg-0123456789abcdef0", unlimited,
		`sg-(?:[0-9a-f]{8}|[0-9a-f]{17})`)
	// A principal is an account, or a user or role of one.
	checkPrincipal = shaped("the ARN of an account, a user or a role", "arn:aws:iam::111122223333:root", unlimited,
		`arn:aws[a-z-]*:iam::\d{12}:(?:root|(?:role|user)/[\w+=,.@/-]{1,512})`)
	checkEmail = shaped("an e-mail address", "ops@example.com", 254,
		`[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}`)
	checkTopic = shaped("the ARN of an SNS topic without .fifo at its end",
		"arn:aws:sns:eu-west-1:111122223333:alarms", unlimited,
		`arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}`)
)

// unlimited: the form has a limit of its own.
const unlimited = 1 << 20

// shaped is a check for a text of a form, with most bytes at the most.
func shaped(what, example string, most int, form string) func(string) error {
	whole := regexp.MustCompile("^(?:" + form + ")$")
	return func(s string) error {
		if len(s) <= most && whole.MatchString(s) {
			return nil
		}
		return errors.New(show(s) + " is not " + what + "; give one such as " + example)
	}
}

// orNone also accepts an empty text.
func orNone(check func(string) error) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
}

// RegionOf returns the region of what an ARN names, "" if there is no ARN.
func RegionOf(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}
