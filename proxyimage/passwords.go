package proxyimage

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// PasswordVariable names the environment variable that holds the password at synth when the fleet has a single user.
const PasswordVariable = "SQUIDFLEET_PASSWORD"

// Passwords finds the users' passwords for credentials=image, in the order of p.Users, in an environment as os.Environ returns it. They
// come from the environment and not from a parameter, because parameters are written into the cloud assembly. Each user has
// a variable of his own, see [squid.PasswordVariable]; a single user's may also stand in [PasswordVariable].
//
// With any other credential mode there are none. The error tells everything that is missing, not accepted or nobody's, one line each, beginning with the
// variable's name; it never holds a password.
func Passwords(p *params.Params, environment []string) ([]squid.Credential, error) {
	if p.Credentials != container.CredentialsImage {
		return nil, nil
	}
	var problems []error
	problem := func(variable, format string, arguments ...any) {
		problems = append(problems, fmt.Errorf(variable+": "+format, arguments...))
	}
	given := passwordVariables(environment)
	commonPassword, common := given[PasswordVariable]
	delete(given, PasswordVariable)
	if common && len(p.Users) > 1 {
		problem(PasswordVariable, "is set, but there are %d users; give each one a variable of his own and leave this one out", len(p.Users))
	}
	var credentials []squid.Credential
	for _, user := range p.Users {
		variable := squid.PasswordVariable(user)
		password, set := given[variable]
		delete(given, variable)
		switch {
		case set && common && len(p.Users) == 1:
			problem(variable, "is set, and %s too; leave one out", PasswordVariable)
			continue
		case !set && common && len(p.Users) == 1:
			variable, password, set = PasswordVariable, commonPassword, true
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
	for _, variable := range slices.Sorted(maps.Keys(given)) {
		problem(variable, "is the password of nobody, because users is %s; correct the name, or leave it out", strings.Join(p.Users, ","))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return credentials, nil
}

// PasswordWarnings tells, one line each, which passwords in the environment are not used because p asks for generated ones.
func PasswordWarnings(p *params.Params, environment []string) []string {
	if p.Credentials == container.CredentialsImage {
		return nil
	}
	var warnings []string
	for _, variable := range slices.Sorted(maps.Keys(passwordVariables(environment))) {
		warnings = append(warnings, fmt.Sprintf("%s: is not used, because with credentials=%s the passwords are generated; give credentials=%s, or leave it out",
			variable, p.Credentials, container.CredentialsImage))
	}
	return warnings
}

// passwordVariables returns the values of the variables that can only be meant for a password.
func passwordVariables(environment []string) map[string]string {
	given := map[string]string{}
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		if name == PasswordVariable || strings.HasPrefix(name, PasswordVariable+"_") {
			given[name] = value
		}
	}
	return given
}
