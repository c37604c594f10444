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
		credentials, digest string
		want                [][]string
	}{
		{"secretsmanager", "fleet", [][]string{settings, secrets, {"SQUIDFLEET_DIGEST_KEYS=the key"}}},
		{"secretsmanager", "squid", [][]string{settings, secrets}},
		{"image", "fleet", [][]string{{"SQUIDFLEET_DIGEST_KEYS=the key"}}},
		{"image", "squid", nil},
	} {
		values := map[string]any{"users": "alice,bo-b", "credentials": c.credentials, "digest": c.digest}
		got := Environ(parse(t, values), passwords, "the key")
		want := append([]string{"SQUIDFLEET_DIGEST=" + c.digest, "SQUIDFLEET_CREDENTIALS=" + c.credentials},
			slices.Concat(c.want...)...)
		if !slices.Equal(got, want) {
			t.Errorf("%s, %s: %q, want %q", c.credentials, c.digest, got, want)
		}
	}
}
