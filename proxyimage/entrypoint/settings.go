package main

import (
	"fmt"
	"maps"
	"net/url"
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

// settings are the checked environment.
type settings struct {
	dir          string        // absolute
	squid        string        // path of Squid's program
	name         string        // Squid's service name
	metrics      string        // the fleet's name in the task's figures; "" reports none
	metricsEvery time.Duration // how often they are reported
	egressURL    *url.URL      // answers with the public address; nil asks nobody
	drainTimeout time.Duration // how long SIGTERM may wait for the clients
	auth         squid.Auth    // what clients are asked for
	digest       squid.Digest  // who checks credentials
	// writePasswords means that the password file is made from realm and credentials.
	// Otherwise it exists already.
	writePasswords bool
	realm          string
	credentials    []squid.Credential
	keys           string // of the nonces, for their file; "" if it exists already or is not needed
}

// fleetName is what the names of stacks consist of.
var fleetName = regexp.MustCompile(`^[A-Za-z0-9-]{1,128}$`)

// readSettings checks the whole environment and returns every problem. Each begins with the
// variable's name; none holds a password.
func readSettings(environ []string) (settings, []string) {
	e := environment{values: map[string]string{}}
	for _, variable := range environ {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, container.EnvPrefix) {
			e.values[name] = value
		}
	}
	s := settings{
		dir:   e.optional(container.EnvDir, container.Dir),
		squid: e.optional(container.EnvSquid, container.SquidPath),
		name:  e.optional(container.EnvName, "squid"), // Squid's own default
	}
	if s.metrics = e.optional(container.EnvMetrics, ""); s.metrics != "" && !fleetName.MatchString(s.metrics) {
		e.problem(container.EnvMetrics, "%q is not 1 to 128 ASCII letters, digits and hyphens", s.metrics)
	}
	s.metricsEvery = e.duration(container.EnvMetricsEvery, time.Minute, 100*time.Millisecond)
	s.egressURL = e.egressURL()
	s.drainTimeout = e.duration(container.EnvDrainTimeout, container.DrainTimeout, 0)
	s.auth = squid.Auth(e.choice(container.EnvAuth, string(squid.AuthDigest), string(squid.AuthBasic),
		string(squid.AuthAny), string(squid.AuthNone)))
	if s.auth.Passwords() { // refuseTheRest refuses the variables about them
		e.readDigest(&s)
		e.readCredentials(&s)
	}
	e.refuseTheRest()
	return s, e.problems
}

// environment hands out the values of our variables. Those that are left were not asked for.
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

func (e *environment) egressURL() *url.URL {
	value := e.optional(container.EnvEgressURL, defaultEgressURL)
	if value == container.EgressOff {
		return nil
	}
	u, err := parseEgressURL(value)
	if err != nil {
		e.problem(container.EnvEgressURL, "%v; set it to such a URL or to %s", err, container.EgressOff)
	}
	return u
}

// maxDuration refuses a slip of the pen. Nothing here knows when SIGKILL would come: who sets the
// drain timeout has to. The task definition leaves it out.
const maxDuration = 24 * time.Hour

func (e *environment) duration(name string, fallback, least time.Duration) time.Duration {
	value := e.optional(name, fallback.String())
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > maxDuration {
		e.problem(name, "%q is not a duration from %v to %v; write it like 90s or 1m30s", value, least, maxDuration)
	}
	return d
}

// choice returns the value of a variable that has to be one of some; "" when it reported a problem.
func (e *environment) choice(name string, values ...string) string {
	last := len(values) - 1
	choices := fmt.Sprintf("set it to %s or %s", strings.Join(values[:last], ", "), values[last])
	value := e.required(name, choices)
	if value == "" || slices.Contains(values, value) {
		return value
	}
	e.problem(name, "%q is not a choice; %s", value, choices)
	return ""
}

// readDigest leaves the digest "" when it reported a problem.
func (e *environment) readDigest(s *settings) {
	s.digest = squid.Digest(e.choice(container.EnvDigest, string(squid.DigestFleet), string(squid.DigestSquid)))
	if s.digest == squid.DigestSquid && s.auth.Basic() {
		e.problem(container.EnvDigest, "%s only goes with %s=%s; set it to %s",
			squid.DigestSquid, container.EnvAuth, squid.AuthDigest, squid.DigestFleet)
	}
	if s.digest != squid.DigestFleet || s.auth == squid.AuthBasic {
		return // refuseTheRest refuses the keys
	}
	keys, set := e.take(container.EnvDigestKeys)
	if !set {
		// The restart after writing them takes the keys from the environment.
		if _, err := os.Stat(filepath.Join(s.dir, container.RunKeys)); err != nil {
			e.problem(container.EnvDigestKeys,
				"is missing; with %s=%s, set it to the secret that all tasks of the fleet share",
				container.EnvDigest, squid.DigestFleet)
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
	const secrets, image = string(container.CredentialsSecretsManager), string(container.CredentialsImage)
	if e.choice(container.EnvCredentials, secrets, image) != secrets {
		return // refuseTheRest refuses the variables of the other choice
	}
	s.writePasswords = true
	s.realm = e.required(container.EnvRealm, "set it to the realm")
	if err := squid.CheckRealm(s.realm); s.realm != "" && err != nil {
		e.problem(container.EnvRealm, "%v", err)
	}
	users := e.required(container.EnvUsers, "set it to the user names, separated by commas")
	if users == "" {
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
			e.problem(fmt.Sprintf("%s[%d]", container.EnvUsers, i),
				"%q and %q both take their password from %s; rename one", user, other, variable)
			continue
		}
		owner[variable] = user
		password := e.required(variable, fmt.Sprintf("set it to the password of user %q", user))
		if err := squid.CheckPassword(password); password != "" && err != nil {
			e.problem(variable, "%v", err)
		}
		s.credentials = append(s.credentials, squid.Credential{User: user, Password: password})
	}
}

// refuseTheRest reports every variable of ours that was not asked for, such as a misspelt one.
func (e *environment) refuseTheRest() {
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		e.problem(name, "is not a setting with the chosen %s, %s and %s; leave it out",
			container.EnvAuth, container.EnvDigest, container.EnvCredentials)
	}
}

// written are the variables whose values go into files, besides the passwords.
var written = []string{container.EnvDigestKeys, container.EnvCredentials, container.EnvRealm, container.EnvUsers}

// withoutSecrets is the environment after the secrets were written to their files.
func withoutSecrets(environ []string) []string {
	kept := slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(written, name) || strings.HasPrefix(name, container.EnvPassword)
	})
	return append(kept, container.EnvCredentials+"="+string(container.CredentialsImage))
}
