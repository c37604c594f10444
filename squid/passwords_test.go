package squid

import (
	"regexp"
	"strings"
	"testing"
)

// The first HA1 is the one of RFC 7616, section 3.9.1; the second is what md5sum prints.
func TestPasswordFileHoldsOneRecordAUser(t *testing.T) {
	got, err := PasswordFile(DigestSquid, "http-auth@example.org", []Credential{
		{"Mufasa", "Circle of Life"}, {"alice", "with\\back slash, colon : and ünïcode"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "Mufasa:http-auth@example.org:3d78807defe7de2157e2b0b6573a855f\n" +
		"alice:http-auth@example.org:6c0b2183fad4d062c6eb04769408de82\n"
	if string(got) != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestPasswordFileRefuses(t *testing.T) {
	long := strings.Repeat("x", 200)
	good := "long enough"
	for _, c := range []struct {
		name, realm string
		credentials []Credential
		want        string
	}{
		{"no user", "r", nil, "users: none given"},
		{"empty realm", "", []Credential{{"a", good}}, "realm: empty realm"},
		{"colon in realm", "a:b", []Credential{{"a", good}}, `realm: "a:b" has ':' at byte 2`},
		{"empty user", "r", []Credential{{"", good}}, "users[0]: empty user name"},
		{"colon in user", "r", []Credential{{"ok", good}, {"a:b", good}}, `users[1]: "a:b" has ':' at byte 2`},
		{"newline in user", "r", []Credential{{"a\nb", good}}, `users[0]: "a\nb" has '\n' at byte 2`},
		{"quote in user", "r", []Credential{{`a"b`, good}}, `users[0]: "a\"b" has '"' at byte 2`},
		{"comment as user", "r", []Credential{{"#a", good}}, `users[0]: "#a" has '#' at byte 1`},
		{"comma in user", "r", []Credential{{"a,b", good}}, `users[0]: "a,b" has ',' at byte 2`},
		{"umlaut in user", "r", []Credential{{"käthe", good}}, `users[0]: "käthe" has 'ä' at byte 2`},
		{"long user", "r", []Credential{{long, good}}, "users[0]: user name of 200 bytes: at most 64"},
		{"twice", "r", []Credential{{"a", good}, {"a", good}}, `users[1]: "a" is given twice`},
		{"no password", "r", []Credential{{"a", ""}}, "password of a: empty"},
		{"short password", "r", []Credential{{"a", "seven77"}}, "password of a: 7 bytes long: at least 8"},
		{"long password", "r", []Credential{{"a", long}}, "password of a: 200 bytes long: at most 128"},
		{"newline in password", "r", []Credential{{"a", good + "\n"}}, "password of a: holds a control character"},
		{"invalid UTF-8", "r", []Credential{{"a", good + "\xff"}}, "password of a: not valid UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := PasswordFile(DigestSquid, c.realm, c.credentials)
			if got != nil || err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %q, error %v, want an error beginning with %q", got, err, c.want)
			}
			for _, cr := range c.credentials {
				if err != nil && len(cr.Password) > 3 && strings.Contains(err.Error(), cr.Password) {
					t.Errorf("the error holds the password: %v", err)
				}
			}
		})
	}
}

func TestPasswordVariable(t *testing.T) {
	for user, want := range map[string]string{
		"proxy": "SQUIDFLEET_PASSWORD_PROXY", "alice.b-c@d+1": "SQUIDFLEET_PASSWORD_ALICE_B_C_D_1",
	} {
		if got := PasswordVariable(user); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
}

// A record holds an MD5 hash or a SHA-256 hash.
var record = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]*:[^:"\\\x00-\x1f]+:(?:[0-9a-f]{32}|[0-9a-f]{64})$`)

// No accepted user, realm or password adds a record to the file or a field to a record, whoever
// checks Digest.
func FuzzNothingFromOutsideAddsARecord(f *testing.F) {
	f.Add("proxy", "squidfleet", "correct horse")
	f.Add("a\nb:r:00000000000000000000000000000000", "r", "12345678")
	f.Add("a", "r:s", "12345678")
	f.Add("a", "r", "1234567\n8")
	f.Add("#", "r ", "12345678")
	f.Fuzz(func(t *testing.T, user, realm, password string) {
		for by, recordsEach := range map[Digest]int{DigestSquid: 1, DigestFleet: 2} {
			file, err := PasswordFile(by, realm, []Credential{{"first", "first's password"}, {user, password}})
			if err != nil {
				continue
			}
			records := map[string]int{}
			for line := range strings.SplitSeq(strings.TrimSuffix(string(file), "\n"), "\n") {
				if !record.MatchString(line) || strings.Count(line, ":") != 2 {
					t.Fatalf("%s: not a record: %q", by, line)
				}
				name, _, _ := strings.Cut(line, ":")
				records[name]++
			}
			if len(records) != 2 || records["first"] != recordsEach || records[user] != recordsEach {
				t.Fatalf("%s: records %v for two users: %q", by, records, file)
			}
		}
	})
}
