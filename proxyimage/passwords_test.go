package proxyimage

import (
	"slices"
	"testing"

	"squidfleet/params"
	"squidfleet/squid"
)

func TestPasswords(t *testing.T) {
	one := map[string]any{"credentials": "image", "users": "alice"}
	two := map[string]any{"credentials": "image", "users": "alice,bob.2"}
	for _, c := range []struct {
		name        string
		values      map[string]any
		environment map[string]string
		want        []squid.Credential
		wantError   string
	}{
		{"secretsmanager looks nothing up", map[string]any{"users": "alice"}, map[string]string{"SQUIDFLEET_PASSWORD": "x"}, nil, ""},
		{"the single user's", one, map[string]string{"SQUIDFLEET_PASSWORD": "open sesame"}, []squid.Credential{{User: "alice", Password: "open sesame"}}, ""},
		{"the user's own", one, map[string]string{"SQUIDFLEET_PASSWORD_ALICE": "open sesame"}, []squid.Credential{{User: "alice", Password: "open sesame"}}, ""},
		{"one each, in the users' order", two, map[string]string{"SQUIDFLEET_PASSWORD_BOB_2": `sword\fish`, "SQUIDFLEET_PASSWORD_ALICE": "open sesame"},
			[]squid.Credential{{User: "alice", Password: "open sesame"}, {User: "bob.2", Password: `sword\fish`}}, ""},
		{"none", two, nil, nil, `SQUIDFLEET_PASSWORD_ALICE: is missing; with credentials=image, set it to the password of user "alice"
SQUIDFLEET_PASSWORD_BOB_2: is missing; with credentials=image, set it to the password of user "bob.2"`},
		{"one for all", two, map[string]string{"SQUIDFLEET_PASSWORD": "open sesame", "SQUIDFLEET_PASSWORD_BOB_2": "swordfish"}, nil,
			`SQUIDFLEET_PASSWORD: is set, but there are 2 users; give each one a variable of his own and leave this one out
SQUIDFLEET_PASSWORD_ALICE: is missing; with credentials=image, set it to the password of user "alice"`},
		{"both", one, map[string]string{"SQUIDFLEET_PASSWORD": "open sesame", "SQUIDFLEET_PASSWORD_ALICE": "swordfish"}, nil,
			`SQUIDFLEET_PASSWORD_ALICE: is set, and SQUIDFLEET_PASSWORD too; leave one out`},
		{"empty", one, map[string]string{"SQUIDFLEET_PASSWORD": ""}, nil, `SQUIDFLEET_PASSWORD: empty`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := parse(t, c.values)
			got, err := Passwords(p, func(name string) (string, bool) {
				if p.Credentials == params.CredentialsSecretsManager {
					t.Errorf("looked up %s", name)
				}
				value, set := c.environment[name]
				return value, set
			})
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if (err == nil) != (c.wantError == "") || err != nil && err.Error() != c.wantError {
				t.Errorf("error:\n%v\nwant:\n%s", err, c.wantError)
			}
		})
	}
}
