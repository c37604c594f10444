package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"squidfleet/digest"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// settings is the environment, checked.
type settings struct {
	dir   string // absolute
	squid string // path of Squid's program
	name  string // Squid's service name

	egressURL    string        // whom to ask for the public address; "" asks nobody
	drainTimeout time.Duration // how long SIGTERM may wait for the clients

	digest squid.Digest // who checks credentials

	// writePasswords says that the password file is made from realm and credentials; otherwise it is already there.
	writePasswords bool
	realm          string
	credentials    []squid.Credential
	// keys are those of the nonces, to be written to their file; "" if it is already there or not needed.
	keys string
}

// defaultName is Squid's own default.
const defaultName = "squid"

// serviceName is what Squid accepts after -n.
var serviceName = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

// readSettings checks the whole environment and returns every problem, each beginning with the variable's name. A
// password's value is in none of them.
func readSettings(environ []string) (settings, []string) {
	e := environment{values: map[string]string{}}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, container.EnvPrefix) {
			e.values[name] = value
		}
	}
	s := settings{
		dir:   e.optional(container.EnvDir, container.Dir),
		squid: e.optional(container.EnvSquid, container.SquidPath),
		name:  e.optional(container.EnvName, defaultName),
	}
	if !filepath.IsAbs(s.dir) {
		e.problem(container.EnvDir, "%q is not an absolute path", s.dir)
	} else if info, err := os.Stat(s.dir); err != nil {
		e.problem(container.EnvDir, "%v", err)
	} else if !info.IsDir() {
		e.problem(container.EnvDir, "%s is not a directory", s.dir)
	}
	if !filepath.IsAbs(s.squid) {
		e.problem(container.EnvSquid, "%q is not an absolute path", s.squid)
	}
	if !serviceName.MatchString(s.name) {
		e.problem(container.EnvName, "%q is not 1 to 32 ASCII letters and digits", s.name)
	}
	s.egressURL = e.egressURL()
	s.drainTimeout = e.drainTimeout()
	e.readDigest(&s)
	e.readCredentials(&s)
	e.refuseTheRest()
	return s, e.problems
}

// environment hands out the values of the variables that are ours and remembers which nobody asked for.
type environment struct {
	values   map[string]string
	problems []string
}

func (e *environment) problem(name, format string, arguments ...any) {
	e.problems = append(e.problems, name+": "+fmt.Sprintf(format, arguments...))
}

func (e *environment) take(name string) (string, bool) {
	value, set := e.values[name]
	delete(e.values, name)
	return value, set
}

func (e *environment) optional(name, fallback string) string {
	value, set := e.take(name)
	if !set {
		return fallback
	}
	if value == "" {
		e.problem(name, "is empty; set it or leave it out")
		return fallback
	}
	return value
}

// required returns "" when it reported a problem.
func (e *environment) required(name, fix string) string {
	value, _ := e.take(name)
	if value == "" {
		e.problem(name, "is missing; %s", fix)
	}
	return value
}

func (e *environment) egressURL() string {
	value := e.optional(container.EnvEgressURL, defaultEgressURL)
	if value == container.EgressOff {
		return ""
	}
	if err := checkEgressURL(value); err != nil {
		e.problem(container.EnvEgressURL, "%v; set it to such a URL or to %s", err, container.EgressOff)
	}
	return value
}

// maxDrainTimeout refuses a slip of the pen. Whether the time fits is for whoever sets it to see to: nothing here knows when SIGKILL
// would come, and the task definition leaves the variable out.
const maxDrainTimeout = 24 * time.Hour

func (e *environment) drainTimeout() time.Duration {
	value := e.optional(container.EnvDrainTimeout, container.DrainTimeout.String())
	timeout, err := time.ParseDuration(value)
	if err != nil || timeout < 0 || timeout > maxDrainTimeout {
		e.problem(container.EnvDrainTimeout, "%q is not a duration from 0s to %v; write it like 90s or 1m30s", value, maxDrainTimeout)
	}
	return timeout
}

// readDigest leaves the digest "" when it reported a problem.
func (e *environment) readDigest(s *settings) {
	choices := fmt.Sprintf("set it to %s or %s", squid.DigestFleet, squid.DigestSquid)
	switch value := squid.Digest(e.required(container.EnvDigest, choices)); value {
	case squid.DigestFleet:
	case squid.DigestSquid:
		s.digest = squid.DigestSquid
		return
	case "":
		delete(e.values, container.EnvDigestKeys)
		return
	default:
		e.problem(container.EnvDigest, "%q is not a choice; %s", value, choices)
		delete(e.values, container.EnvDigestKeys)
		return
	}
	s.digest = squid.DigestFleet
	keys, set := e.take(container.EnvDigestKeys)
	if !set {
		// Once written they are gone from the environment; see forgetSecrets.
		if _, err := os.Stat(filepath.Join(s.dir, container.RunKeys)); err != nil {
			e.problem(container.EnvDigestKeys, "is missing; with %s=%s, set it to the secret that all tasks of the fleet share", container.EnvDigest, squid.DigestFleet)
		}
		return
	}
	if _, err := digest.ParseKeys(keys); err != nil {
		e.problem(container.EnvDigestKeys, "%v", err)
		return
	}
	s.keys = keys
}

func (e *environment) readCredentials(s *settings) {
	choices := fmt.Sprintf("set it to %s or %s", container.CredentialsSecretsManager, container.CredentialsImage)
	switch value := container.Credentials(e.required(container.EnvCredentials, choices)); value {
	case container.CredentialsSecretsManager:
		s.writePasswords = true
	case container.CredentialsImage:
		return // Whatever belongs to the other choice alone is refused by refuseTheRest.
	case "":
		e.dropCredentials()
		return
	default:
		e.problem(container.EnvCredentials, "%q is not a choice; %s", value, choices)
		e.dropCredentials()
		return
	}

	s.realm = e.required(container.EnvRealm, "set it to the Digest realm")
	if s.realm != "" {
		if err := squid.CheckRealm(s.realm); err != nil {
			e.problem(container.EnvRealm, "%v", err)
		}
	}
	users := e.required(container.EnvUsers, "set it to the user names, separated by commas")
	if users == "" {
		// Whose the password variables are cannot be said, so nothing is said of them.
		e.dropCredentials()
		return
	}
	owner := map[string]string{} // variable → user
	for i, user := range strings.Split(users, ",") {
		variable := squid.PasswordVariable(user)
		if err := squid.CheckUser(user); err != nil {
			e.problem(fmt.Sprintf("%s[%d]", container.EnvUsers, i), "%v", err)
			continue
		}
		if other, taken := owner[variable]; taken {
			e.problem(fmt.Sprintf("%s[%d]", container.EnvUsers, i), "%q and %q both take their password from %s; rename one", user, other, variable)
			continue
		}
		owner[variable] = user
		password := e.required(variable, fmt.Sprintf("set it to the password of user %q", user))
		if password == "" {
			continue
		}
		if err := squid.CheckPassword(password); err != nil {
			e.problem(variable, "%v", err)
			continue
		}
		s.credentials = append(s.credentials, squid.Credential{User: user, Password: password})
	}
}

// dropCredentials forgets the variables that only have a meaning once the credential mode and the users are known, so that
// one mistake is told once.
func (e *environment) dropCredentials() {
	for name := range e.values {
		if name == container.EnvRealm || name == container.EnvUsers || strings.HasPrefix(name, container.EnvPassword) {
			delete(e.values, name)
		}
	}
}

// refuseTheRest reports every variable of ours that nothing asked for: a misspelt setting must not be ignored.
func (e *environment) refuseTheRest() {
	names := make([]string, 0, len(e.values))
	for name := range e.values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch {
		case name == container.EnvDigestKeys:
			e.problem(name, "only goes with %s=%s; leave it out", container.EnvDigest, squid.DigestFleet)
		case name == container.EnvRealm || name == container.EnvUsers:
			e.problem(name, "only goes with %s=%s; leave it out", container.EnvCredentials, container.CredentialsSecretsManager)
		case strings.HasPrefix(name, container.EnvPassword):
			e.problem(name, "is no user's password; name the user in %s, with %s=%s, or leave it out", container.EnvUsers, container.EnvCredentials, container.CredentialsSecretsManager)
		default:
			e.problem(name, "is not a setting; leave it out")
		}
	}
}

// withoutSecrets is the environment of the same settings once the secrets are in their files.
func withoutSecrets(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case name == container.EnvDigestKeys, name == container.EnvCredentials, name == container.EnvRealm, name == container.EnvUsers, strings.HasPrefix(name, container.EnvPassword):
		default:
			kept = append(kept, entry)
		}
	}
	return append(kept, container.EnvCredentials+"="+string(container.CredentialsImage))
}
