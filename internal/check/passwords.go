package check

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

func passwordOf(user string) string { return "Password of the proxy user " + user }

// password returns the secret with a user's password: the one whose description says so, which is how people tell one from another.
func (f *fleet) password(user string) *resource {
	for _, r := range f.all("AWS::SecretsManager::Secret") {
		if r.properties["Description"] == passwordOf(user) {
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
	if f.Digest == squid.DigestFleet {
		all[container.EnvDigestKeys] = f.digestKey()
	}
	return all
}

// checkSecretsKept: each is generated where it is kept, long, and without characters that a shell or a URL would take for its own.
func (f *fleet) checkSecretsKept() {
	generated := func(r *resource, description string, length int) {
		f.want(r, "password", "", object{
			"Description":          description,
			"GenerateSecretString": object{"ExcludePunctuation": true, "PasswordLength": length},
		})
	}
	for _, user := range f.Users {
		if !f.secretsManager() {
			break // inventory tells if there are secrets all the same
		}
		if !f.password(user).there() {
			f.report(f.proxy.Name, none, "password", "no secret's description is %q, so that nobody can tell which is that user's", passwordOf(user))
		}
		// 190 bits, and within the 128 bytes that Squid's password file takes.
		generated(f.password(user), passwordOf(user), 32)
		if f.password(user) == f.digestKey() && f.digestKey().there() {
			f.at(f.digestKey(), "password", "is a user's password and the key of the nonces, so that whoever is challenged could guess the password offline")
		}
	}
	if f.Digest == squid.DigestFleet {
		// 381 bits; the helper takes keys of 32 to 1,024 characters.
		generated(f.digestKey(), "Key of the nonces that the proxy's tasks hand out; several keys, separated by spaces: the first signs, all are accepted", 64)
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
var secret = regexp.MustCompile(`(?i)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|\{\{resolve:|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_|\bglpat-|\bsk-[A-Za-z0-9_-]{20,}|` +
	`\bxox[abps]-|\beyJ[A-Za-z0-9_-]{10,}\.eyJ|(?:password|passwd|pwd|passphrase|secret|token|api_?key)(?:_\w+)?["']?\s*[:=]\s*["']?[^\s"'⟨{$]{6,}|://[^/\s:@⟨]+:[^/\s@⟨]+@|\b[0-9a-f]{32}\b`)

// hash256 matches what an HA1 of SHA-256 looks like, and the image's hash.
var hash256 = regexp.MustCompile(`(?i)\b[0-9a-f]{64}\b`)

// checkSecrets: no text of a template looks like a secret. The other rules want each text to be a certain one; this one holds whatever they come to want.
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
			if value, ok := v["Value"].(string); ok && (key == "Key" || key == "Name") {
				f.noSecret(s, id, path, fmt.Sprintf("%v=%s", v[key], value))
			}
		}
	case []any:
		for _, item := range v {
			f.noSecret(s, id, path+"[]", item)
		}
	case string:
		image := func(hash string) bool {
			return slices.ContainsFunc(s.Images, func(i Image) bool { return i.Hash == hash })
		}
		if secret.MatchString(v) || slices.ContainsFunc(hash256.FindAllString(v, -1), func(hash string) bool { return !image(hash) }) {
			f.report(s.Name, id, "secret", "%s: looks like a credential; let ECS hand it over from Secrets Manager", path)
		}
	}
}
