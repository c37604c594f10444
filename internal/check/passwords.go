package check

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// password returns the secret with a user's password: the one whose description ends in "user" and the name, which is how people and outputs tell one from another.
func (f *fleet) password(user string) *resource {
	for _, r := range f.all("AWS::SecretsManager::Secret") {
		if description, _ := r.properties["Description"].(string); strings.HasSuffix(description, " user "+user) {
			return r
		}
	}
	return missing(f.proxy)
}

// digestKey returns the secret with the key of the nonces: the one that ECS hands over as such.
func (f *fleet) digestKey() *resource {
	items, _ := f.container()["Secrets"].([]any)
	for _, item := range items {
		if at(item, "Name") == container.EnvDigestKeys {
			return f.byReference(at(item, "ValueFrom"), "AWS::SecretsManager::Secret")
		}
	}
	return missing(f.proxy)
}

// handedOver returns the secrets that ECS puts into the container's environment, by the names of the variables.
func (f *fleet) handedOver() map[string]*resource {
	all := map[string]*resource{}
	if f.secretsManager() {
		for _, user := range f.Users {
			all[squid.PasswordVariable(user)] = f.password(user)
		}
	}
	if f.Digest == params.DigestFleet {
		all[container.EnvDigestKeys] = f.digestKey()
	}
	return all
}

// checkSecretsKept: each is generated where it is kept, long, and without characters that a shell or a URL would take for its own.
func (f *fleet) checkSecretsKept() {
	generated := func(r *resource, length int) {
		f.want(r, "password", "", object{
			"Description": text, "Tags": tags,
			"GenerateSecretString": object{"ExcludePunctuation": true, "PasswordLength": between(length, 4096)},
		})
	}
	for _, user := range f.Users {
		if !f.secretsManager() {
			break // inventory tells if there are secrets all the same
		}
		if !f.password(user).there() {
			f.report(f.proxy.Name, none, "password", "no secret's description ends in %q, so that nobody can tell which is that user's", "user "+user)
		}
		generated(f.password(user), 32)
		if f.password(user) == f.digestKey() && f.digestKey().there() {
			f.at(f.digestKey(), "password", "is a user's password and the key of the nonces, so that whoever is challenged could guess the password offline")
		}
	}
	if f.Digest == params.DigestFleet {
		generated(f.digestKey(), 64)
	}
}

// held are the types of resources that hold data. They go with the stack, so that cdk destroy leaves nothing behind.
var held = []string{"AWS::SecretsManager::Secret", "AWS::Logs::LogGroup", "AWS::SQS::Queue"}

// checkRemoval: what holds data says that it goes, and nothing says that it stays.
func (f *fleet) checkRemoval() {
	for _, r := range f.resources {
		for _, attribute := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
			policy, given := r.raw[attribute]
			if policy != "Delete" && (given || slices.Contains(held, r.kind)) {
				f.at(r, "removal", "%s: is %s, want Delete: cdk destroy leaves nothing behind", attribute, show(policy))
			}
		}
	}
}

// secret matches text that looks like a credential, or like a reference that puts one into the template's values.
var secret = regexp.MustCompile(`(?i)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|\{\{resolve:|\bgh[pousr]_[A-Za-z0-9]{36}|\bxox[abps]-|\beyJ[A-Za-z0-9_-]{10,}\.eyJ|` +
	`(?:password|passwd|secret|token|api_?key)["']?\s*[:=]\s*["']?[^\s"'⟨{$]{6,}|://[^/\s:@⟨]+:[^/\s@⟨]+@|\b[0-9a-f]{32}\b`)

// checkSecrets: no text of a template looks like a secret. The image's hash is no secret.
func (f *fleet) checkSecrets() {
	for _, s := range []*Stack{f.proxy, f.network} {
		if s == nil {
			continue
		}
		for _, section := range slices.Sorted(maps.Keys(s.Raw)) {
			entries, isMap := s.Raw[section].(map[string]any)
			if !isMap {
				entries = map[string]any{none: s.Raw[section]}
			}
			for _, id := range slices.Sorted(maps.Keys(entries)) {
				f.noSecret(s, id, section, entries[id])
			}
		}
	}
}

func (f *fleet) noSecret(s *Stack, id, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			f.noSecret(s, id, path+"."+key, v[key])
		}
	case []any:
		for _, item := range v {
			f.noSecret(s, id, path+"[]", item)
		}
	case string:
		if secret.MatchString(v) {
			f.report(s.Name, id, "secret", "%s: looks like a credential; let ECS hand it over from Secrets Manager", path)
		}
	}
}
