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

// PasswordVariable is the environment variable for the password of a fleet's only user, at synth.
const PasswordVariable = "SQUIDFLEET_PASSWORD"

// Passwords finds the users' passwords for credentials=image in an environment like os.Environ's,
// in the order of p.Users. They are no parameters, because those are written into the cloud
// assembly. Each user has a variable, see [squid.PasswordVariable]; a single user may also have
// [PasswordVariable].
//
// In any other credential mode there are none. The error has a line for each variable that is
// missing, not accepted or nobody's, which begins with its name. It never holds a password.
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
		problem(PasswordVariable, "is set, but there are %d users; give each a variable and leave this one out",
			len(p.Users))
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
		problem(variable, "is nobody's password, because users is %s; correct the name, or leave it out",
			strings.Join(p.Users, ","))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return credentials, nil
}

// PasswordWarnings returns a line for each password in the environment that is not used, because
// p asks for generated ones.
func PasswordWarnings(p *params.Params, environment []string) []string {
	if p.Credentials == container.CredentialsImage {
		return nil
	}
	why := fmt.Sprintf("with credentials=%s the passwords are generated; give credentials=%s",
		p.Credentials, container.CredentialsImage)
	if !p.Auth.Passwords() {
		why = fmt.Sprintf("auth=%s asks for none; give another auth", p.Auth)
	}
	var warnings []string
	for _, variable := range slices.Sorted(maps.Keys(passwordVariables(environment))) {
		warnings = append(warnings, fmt.Sprintf("%s: is not used, because %s, or leave it out", variable, why))
	}
	return warnings
}

// passwordVariables returns the values of the variables that are meant for a password.
func passwordVariables(environment []string) map[string]string {
	given := map[string]string{}
	for _, pair := range environment {
		name, value, _ := strings.Cut(pair, "=")
		if name == PasswordVariable || strings.HasPrefix(name, PasswordVariable+"_") {
			given[name] = value
		}
	}
	return given
}
