package proxyimage

import (
	"slices"
	"testing"

	"squidfleet/squid"
)

func TestPasswords(t *testing.T) {
	one := map[string]any{"credentials": "image", "users": "alice"}
	two := map[string]any{"credentials": "image", "users": "alice,bob.2"}
	for _, c := range []struct {
		name        string
		values      map[string]any
		environment []string
		want        []squid.Credential
		wantError   string
	}{
		{"secretsmanager has none", map[string]any{"users": "alice"}, []string{"SQUIDFLEET_PASSWORD=x"}, nil, ""},
		{"the single user's", one, []string{"SQUIDFLEET_PASSWORD=open sesame"},
			[]squid.Credential{{User: "alice", Password: "open sesame"}}, ""},
		{"the user's own", one, []string{"SQUIDFLEET_PASSWORD_ALICE=open sesame"},
			[]squid.Credential{{User: "alice", Password: "open sesame"}}, ""},
		{"one each, in the users' order", two,
			[]string{`SQUIDFLEET_PASSWORD_BOB_2=sword\fish`, "SQUIDFLEET_PASSWORD_ALICE=open sesame"},
			[]squid.Credential{{User: "alice", Password: "open sesame"}, {User: "bob.2", Password: `sword\fish`}}, ""},
		{"none", two, nil, nil,
			`SQUIDFLEET_PASSWORD_ALICE: is missing; with credentials=image, set it to the password of user "alice"
SQUIDFLEET_PASSWORD_BOB_2: is missing; with credentials=image, set it to the password of user "bob.2"`},
		{"one for all", two, []string{"SQUIDFLEET_PASSWORD=open sesame", "SQUIDFLEET_PASSWORD_BOB_2=swordfish"}, nil,
			`SQUIDFLEET_PASSWORD: is set, but there are 2 users; give each a variable and leave this one out
SQUIDFLEET_PASSWORD_ALICE: is missing; with credentials=image, set it to the password of user "alice"`},
		{"both", one, []string{"SQUIDFLEET_PASSWORD=open sesame", "SQUIDFLEET_PASSWORD_ALICE=swordfish"}, nil,
			`SQUIDFLEET_PASSWORD_ALICE: is set, and SQUIDFLEET_PASSWORD too; leave one out`},
		{"nobody's", one, []string{"SQUIDFLEET_PASSWORD=open sesame", "SQUIDFLEET_PASSWORD_CAROL=swordfish",
			"SQUIDFLEET_PASSWORD_BOB=", "SQUIDFLEET_PASSWORDS=x", "HOME=/"}, nil,
			`SQUIDFLEET_PASSWORD_BOB: is nobody's password, because users is alice; correct the name, or leave it out
SQUIDFLEET_PASSWORD_CAROL: is nobody's password, because users is alice; correct the name, or leave it out`},
		{"empty", one, []string{"SQUIDFLEET_PASSWORD="}, nil, `SQUIDFLEET_PASSWORD: empty`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Passwords(parse(t, c.values), c.environment)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if (err == nil) != (c.wantError == "") || err != nil && err.Error() != c.wantError {
				t.Errorf("error:\n%v\nwant:\n%s", err, c.wantError)
			}
		})
	}
}

func TestPasswordWarnings(t *testing.T) {
	const unused = ": is not used, because with credentials=secretsmanager the passwords are generated; " +
		"give credentials=image, or leave it out"
	environment := []string{"SQUIDFLEET_PASSWORD_BOB=swordfish", "SQUIDFLEET_PASSWORD=open sesame", "HOME=/"}
	want := []string{
		"SQUIDFLEET_PASSWORD" + unused,
		"SQUIDFLEET_PASSWORD_BOB" + unused,
	}
	if got := PasswordWarnings(parse(t, nil), environment); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	want = []string{"SQUIDFLEET_PASSWORD: is not used, because auth=none asks for none; " +
		"give another auth, or leave it out"}
	if got := PasswordWarnings(parse(t, map[string]any{"auth": "none"}), environment[1:]); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := PasswordWarnings(parse(t, map[string]any{"credentials": "image"}), environment); got != nil {
		t.Errorf("with credentials=image: %q", got)
	}
}
