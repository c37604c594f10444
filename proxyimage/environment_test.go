package proxyimage

import (
	"slices"
	"testing"

	"squidfleet/squid"
)

func TestEnvironmentOfEachMode(t *testing.T) {
	passwords := []squid.Credential{{User: "bo-b", Password: "swordfish"}, {User: "alice", Password: "open sesame"}}
	settings := []string{"SQUIDFLEET_REALM=squidfleet", "SQUIDFLEET_USERS=alice,bo-b"}
	secrets := []string{"SQUIDFLEET_PASSWORD_ALICE=open sesame", "SQUIDFLEET_PASSWORD_BO_B=swordfish"}
	for _, c := range []struct {
		auth, credentials, digest string
		want                      [][]string
	}{
		{"digest", "secretsmanager", "fleet", [][]string{settings, secrets, {"SQUIDFLEET_DIGEST_KEYS=the key"}}},
		{"digest", "secretsmanager", "squid", [][]string{settings, secrets}},
		{"digest", "image", "fleet", [][]string{{"SQUIDFLEET_DIGEST_KEYS=the key"}}},
		{"digest", "image", "squid", nil},
		{"any", "secretsmanager", "fleet", [][]string{settings, secrets, {"SQUIDFLEET_DIGEST_KEYS=the key"}}},
		{"basic", "secretsmanager", "fleet", [][]string{settings, secrets}},
		{"basic", "image", "fleet", nil},
	} {
		values := map[string]any{"users": "alice,bo-b", "credentials": c.credentials, "digest": c.digest,
			"auth": c.auth, "allowPlaintextBasic": true}
		got := Environ(parse(t, values), passwords, "the key")
		want := append([]string{"SQUIDFLEET_AUTH=" + c.auth, "SQUIDFLEET_DIGEST=" + c.digest,
			"SQUIDFLEET_CREDENTIALS=" + c.credentials}, slices.Concat(c.want...)...)
		if !slices.Equal(got, want) {
			t.Errorf("%s, %s, %s: %q, want %q", c.auth, c.credentials, c.digest, got, want)
		}
	}
	if got := Environ(parse(t, map[string]any{"auth": "none"}), nil, "the key"); !slices.Equal(got,
		[]string{"SQUIDFLEET_AUTH=none"}) {
		t.Errorf("none: %q", got)
	}
}
