package proxyimage

import (
	"strings"

	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// Setting is a variable of the container's environment.
type Setting struct{ Name, Value string }

// Secret is a variable of the container's environment whose value stands in no template: ECS
// reads it when the task starts.
type Secret struct {
	Name string
	// User is whose password it is. The key of the nonces belongs to no user.
	User string
}

// Settings returns the variables that the parameters decide and that hold no secret. The
// entrypoint's package comment says what each means.
func Settings(p *params.Params) []Setting {
	settings := []Setting{{container.EnvAuth, string(p.Auth)}}
	if p.Metrics {
		settings = append(settings, Setting{container.EnvMetrics, p.StackName})
	}
	if !p.Auth.Passwords() {
		return settings
	}
	settings = append(settings,
		Setting{container.EnvDigest, string(p.Digest)},
		Setting{container.EnvCredentials, string(p.Credentials)})
	if p.Credentials == container.CredentialsImage {
		return settings
	}
	return append(settings,
		Setting{container.EnvRealm, p.Realm},
		Setting{container.EnvUsers, strings.Join(p.Users, ",")})
}

// Secrets returns the variables that hold secrets: the passwords in the order of p.Users unless
// they are in the image, and the key of the nonces where the tasks hand some out. With auth=none
// there are none.
//
// The key is no password: anybody who is challenged could try guesses on a nonce that was made
// from one.
func Secrets(p *params.Params) []Secret {
	var secrets []Secret
	if p.Credentials == container.CredentialsSecretsManager {
		for _, user := range p.Users {
			secrets = append(secrets, Secret{squid.PasswordVariable(user), user})
		}
	}
	if p.Auth.Nonces(p.Digest) {
		secrets = append(secrets, Secret{Name: container.EnvDigestKeys})
	}
	return secrets
}

// Environ returns settings and secrets in the form of os.Environ, for a task that runs outside ECS.
// There nobody reads the task's figures.
func Environ(p *params.Params, passwords []squid.Credential, digestKey string) []string {
	values := map[string]string{"": digestKey}
	for _, c := range passwords {
		values[c.User] = c.Password
	}
	var all []string
	for _, s := range Settings(p) {
		if s.Name != container.EnvMetrics {
			all = append(all, s.Name+"="+s.Value)
		}
	}
	for _, s := range Secrets(p) {
		all = append(all, s.Name+"="+values[s.User])
	}
	return all
}
