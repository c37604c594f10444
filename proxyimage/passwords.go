package proxyimage

import (
	"errors"
	"fmt"

	"squidfleet/params"
	"squidfleet/squid"
)

// PasswordVariable names the environment variable that holds the password at synth when the fleet has a single user.
const PasswordVariable = "SQUIDFLEET_PASSWORD"

// Passwords finds the users' passwords for credentials=image, in the order of p.Users, with lookup as in os.LookupEnv. They
// come from the environment and not from a parameter, because parameters are written into the cloud assembly. Each user has
// a variable of his own, see [squid.PasswordVariable]; a single user's may also stand in [PasswordVariable].
//
// With any other credential mode there are none, and nothing is looked up. The error tells everything that is missing or
// not accepted, one line each, beginning with the variable's name; it never holds a password.
func Passwords(p *params.Params, lookup func(string) (string, bool)) ([]squid.Credential, error) {
	if p.Credentials != params.CredentialsImage {
		return nil, nil
	}
	var problems []error
	problem := func(variable, format string, arguments ...any) {
		problems = append(problems, fmt.Errorf(variable+": "+format, arguments...))
	}
	_, common := lookup(PasswordVariable)
	if common && len(p.Users) > 1 {
		problem(PasswordVariable, "is set, but there are %d users; give each one a variable of his own and leave this one out", len(p.Users))
	}
	var credentials []squid.Credential
	for _, user := range p.Users {
		variable := squid.PasswordVariable(user)
		password, set := lookup(variable)
		switch {
		case set && common && len(p.Users) == 1:
			problem(variable, "is set, and %s too; leave one out", PasswordVariable)
			continue
		case !set && common && len(p.Users) == 1:
			variable = PasswordVariable
			password, set = lookup(variable)
		}
		if !set {
			problem(variable, "is missing; with credentials=image, set it to the password of user %q", user)
			continue
		}
		if err := squid.CheckPassword(password); err != nil {
			problem(variable, "%w", err)
			continue
		}
		credentials = append(credentials, squid.Credential{User: user, Password: password})
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return credentials, nil
}
