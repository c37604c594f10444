package params

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Endpoint says from where the load balancer can be reached.
type Endpoint string

const (
	// EndpointPublic is a load balancer with public addresses.
	EndpointPublic Endpoint = "public"
	// EndpointInternal has private addresses only, for the VPC, its peers and PrivateLink.
	EndpointInternal Endpoint = "internal"
)

// TLS reports whether clients speak TLS to the load balancer.
func (p *Params) TLS() bool { return p.CertificateARN != "" || p.DomainName != "" }

// tlsIdleTimeout is the one that the load balancer's TLS listeners have
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html).
const tlsIdleTimeout = 350 * time.Second

var (
	certificateForm = regexp.MustCompile(`^arn:aws[a-z-]*:acm:([a-z0-9-]+):\d{12}:certificate/[0-9a-f-]{36}$`)
	// domainForm is stricter than DNS: what Certificate Manager takes, without a wildcard.
	domainForm = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	zoneIDs    = regexp.MustCompile(`^Z[A-Z0-9]{1,31}$`)
	groupForm  = regexp.MustCompile(`^sg-(?:[0-9a-f]{8}|[0-9a-f]{17})$`)
	// A principal is an account, or a user or role of one.
	principalForm = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:(?:root|(?:role|user)/[\w+=,.@/-]{1,512})$`)
)

// shaped is a check for a text of a form.
func shaped(form *regexp.Regexp, what, example string) func(string) error {
	return func(s string) error {
		if form.MatchString(s) {
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

var (
	checkCertificate = shaped(certificateForm, "a certificate's ARN",
		"arn:aws:acm:eu-west-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef")
	checkHostedZone = shaped(zoneIDs, "a hosted zone's id", "Z0123456789ABCDEFGHIJ, without /hostedzone/")
	checkGroup      = shaped(groupForm, "a security group's id", "sg-0123456789abcdef0")
	checkPrincipal  = shaped(principalForm, "the ARN of an account, a user or a role", "arn:aws:iam::111122223333:root")
)

// CertificateRegion returns the region of a certificate by its ARN.
func (p *Params) CertificateRegion() string {
	return regionOf(certificateForm, p.CertificateARN)
}

// regionOf returns the region of an ARN, "" if it does not have the form.
func regionOf(form *regexp.Regexp, arn string) string {
	if parts := form.FindStringSubmatch(arn); parts != nil {
		return parts[1]
	}
	return ""
}

func checkDomainName(s string) error {
	const most = 253
	if len(s) <= most && domainForm.MatchString(s) {
		return nil
	}
	return errors.New(show(s) + " is not a host's name; give one such as proxy.example.com in lower case, " +
		"without a scheme, a port or a dot at the end")
}

// certified refuses a name without a certificate, and a zone without a name to put into it.
func certified(p *Params, refuse refusal) {
	switch {
	case p.DomainName == "" && p.HostedZoneID != "":
		refuse("hostedZoneId", "has no meaning without domainName; give the name that the proxy gets in the zone")
	case p.DomainName != "" && p.HostedZoneID == "" && p.CertificateARN == "":
		refuse("domainName", "%s needs a certificate; give hostedZoneId, the Route 53 zone in which one can be "+
			"validated, or the certificateArn of one that you have", p.DomainName)
	}
}

// idleOfTLS refuses an idle timeout that a TLS listener cannot have.
func idleOfTLS(p *Params, refuse refusal) {
	if p.TLS() && p.IdleTimeout != tlsIdleTimeout {
		refuse("idleTimeout", "%s cannot be set where clients speak TLS: the load balancer then always waits %s; "+
			"leave idleTimeout out, or certificateArn and domainName", format(p.IdleTimeout), format(tlsIdleTimeout))
	}
}

// inside refuses ways in that only an internal endpoint in a known VPC has.
func inside(p *Params, refuse refusal) {
	if len(p.PrivateLinkPrincipals) > 0 && p.Endpoint != EndpointInternal {
		refuse("privateLinkPrincipals", "PrivateLink leads to a load balancer without public addresses; give "+
			"endpoint=internal as well")
	}
	if len(p.ClientSecurityGroups) > 0 && (p.Endpoint != EndpointInternal || p.VpcID == "") {
		refuse("clientSecurityGroups", "a group admits clients by their private addresses, inside the VPC; give "+
			"endpoint=internal and the vpcId of the groups as well, or clientCidrs instead")
	}
	// A security group holds 60 rules; a few are left for path MTU discovery and for your own.
	if n := len(p.ClientCidrs) + len(p.ClientSecurityGroups); n > mostClients {
		refuse("clientSecurityGroups", "clientCidrs and clientSecurityGroups are %d together; give at most %d, "+
			"because the load balancer's security group holds 60 rules", n, mostClients)
	}
}

// mostClients is how many blocks and groups of clients there may be.
const mostClients = 50

// wayWarnings are about ways in that are allowed but probably not meant.
func (p *Params) wayWarnings() (warnings []string) {
	if p.CertificateARN != "" && p.DomainName == "" {
		warnings = append(warnings, "certificateArn: clients have to use a name of the certificate, because the load "+
			"balancer's own is not in it; give that name as domainName, so that it is printed")
	}
	if p.Endpoint != EndpointInternal {
		return warnings
	}
	if p.VpcID == "" && len(p.PrivateLinkPrincipals) == 0 {
		warnings = append(warnings, "endpoint: an internal one in the fleet's own VPC, where nothing else runs, can "+
			"be reached from peered networks only; give the vpcId of the clients' VPC, or privateLinkPrincipals")
	}
	for _, c := range p.ClientCidrs {
		if !c.Addr().IsPrivate() && !documentation(c) && !carrierGrade.Overlaps(c) {
			warnings = append(warnings, fmt.Sprintf("clientCidrs: %s is public, and an internal endpoint sees "+
				"private addresses of clients; give those", c))
		}
	}
	return warnings
}

// carrierGrade is a shared range that VPCs may have (RFC 6598).
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// Host is where clients connect if the fleet has a name of its own, and otherwise the host that the
// load balancer gives.
func (p *Params) Host(loadBalancer string) string {
	if p.DomainName != "" {
		return p.DomainName
	}
	return loadBalancer
}

// Scheme is that of the proxy's URL.
func (p *Params) Scheme() string {
	if p.TLS() {
		return "https"
	}
	return "http"
}

// Clients are the addresses that Squid serves: clientCidrs, and those inside the VPC where security
// groups admit clients.
func (p *Params) Clients(vpc []netip.Prefix) []netip.Prefix {
	if len(p.ClientSecurityGroups) == 0 {
		return p.ClientCidrs
	}
	return slices.Concat(p.ClientCidrs, vpc)
}

// otherPartition refuses ARNs of two partitions, of which only one can be the fleet's.
func otherPartition(earlier, later, path string, i int) string {
	of := func(arn string) string { return strings.SplitN(arn, ":", 3)[1] }
	if of(earlier) == of(later) {
		return ""
	}
	return fmt.Sprintf("%s is not in the partition %s as %s[%d] is; give principals of one", later, of(earlier), path,
		i)
}
