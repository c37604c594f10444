package digest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func TestParseKeys(t *testing.T) {
	hexKey := strings.Repeat("0123456789abcdef", 4)
	base64Key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnopqrstuv"))
	for _, c := range []struct {
		name, in, err string
		n             int
	}{
		{"hex", hexKey, "", 1},
		{"base64 with a line's end", base64Key + "\n", "", 1},
		{"a password", `jK8#vL2$mN9&pQ4!rT7*wX1(zB5)cD3{`, "", 1},
		{"three", hexKey + "\n" + base64Key + ", " + testKey, "", 3},
		{"empty", "", "keys: 0 given; 1 to 8 are needed", 0},
		{"blank", " \n", "keys: 0 given; 1 to 8 are needed", 0},
		{"too many", testKey + strings.Repeat(" "+testKey, 8), "keys: 9 given; 1 to 8 are needed", 0},
		{"short", hexKey[:31], "keys[0]: 31 characters; 32 to 1024 are needed", 0},
		{"second one short", hexKey + " short", "keys[1]: 5 characters; 32 to 1024 are needed", 0},
		{"long", strings.Repeat(hexKey, 17), "keys[0]: 1088 characters; 32 to 1024 are needed", 0},
		{"dull", strings.Repeat("password", 8), "keys[0]: only 7 different characters; that is not a random key", 0},
		{"not ASCII", hexKey + "é", "keys[0]: character 64 is not printable ASCII", 0},
		{"control byte", "\x00" + hexKey, "keys[0]: character 0 is not printable ASCII", 0},
		{"twice", testKey + " " + testKey, "keys[1]: the same as keys[0]", 0},
	} {
		k, err := ParseKeys(c.in)
		if got := fmt.Sprint(err); got != c.err && (err != nil || c.err != "") {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(k.secrets) != c.n {
			t.Errorf("%s: %d keys", c.name, len(k.secrets))
		}
	}
}

func TestKeysDoNotShowThemselves(t *testing.T) {
	k := mustKeys(t, testKey+" "+otherTestKey)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "[2 keys]" {
			t.Errorf("%s: %s", verb, got)
		}
		if got := fmt.Sprintf(verb, Config{Keys: k}); strings.Contains(got, testKey) {
			t.Errorf("%s of a Config: %s", verb, got)
		}
	}
}

func TestNewNamesEveryFieldThatIsWrong(t *testing.T) {
	hash := HA1(MD5, "a", testRealm, "a")
	good := Config{Realm: testRealm, Users: []User{{Name: "a", MD5: hash}}, Keys: mustKeys(t, testKey)}
	manyUsers := func(n int) (users []User) {
		for i := range n {
			users = append(users, User{Name: fmt.Sprint(i), MD5: hash})
		}
		return users
	}
	for _, users := range [][]User{good.Users, manyUsers(1000)} {
		good.Users = users
		if _, err := New(good); err != nil {
			t.Fatal(err)
		}
	}
	good.Users = good.Users[:1]
	good.Users[0].Name = "a"
	twice := func(c *Config) { c.Users = append(c.Users, c.Users[0]) }
	user := func(u User) func(*Config) { return func(c *Config) { c.Users = []User{u} } }
	realm := func(r string) func(*Config) { return func(c *Config) { c.Realm = r } }
	for want, change := range map[string]func(*Config){
		"realm: 0 bytes; 1 to 128 are needed":                     realm(""),
		"realm: 129 bytes; 1 to 128 are needed":                   realm(strings.Repeat("x", 129)),
		`realm: byte 1 is '"'; printable ASCII without quote, `:   realm(`a"b`),
		`realm: byte 1 is ':'; printable ASCII without quote, `:   realm(`a:b`),
		`realm: byte 1 is '\\'; printable ASCII without quote, `:  realm(`a\b`),
		`realm: byte 1 is '\n'; printable ASCII without quote, `:  realm("a\nb"),
		`realm: byte 1 is '\x1f'; printable ASCII without quote`:  realm("a\x1f"),
		`realm: byte 1 is '\x7f'; printable ASCII without quote`:  realm("a\x7f"),
		`realm: byte 1 is 'Ã'; printable ASCII without quote`:     realm("aé"),
		"users: 0 given; 1 to 1000 are needed":                    func(c *Config) { c.Users = nil },
		"users: 1001 given; 1 to 1000 are needed":                 func(c *Config) { c.Users = manyUsers(1001) },
		"users[1].name: \"a\" is given twice":                     twice,
		"users[0].name: 0 bytes; 1 to 128 are needed":             user(User{Password: "x"}),
		"users[0].name: ':' is not allowed in a name":             user(User{Name: "a:b", Password: "x"}),
		`users[0].name: '\n' is not allowed in a name`:            user(User{Name: "a\n", Password: "x"}),
		"users[0].name: not UTF-8":                                user(User{Name: "\xff", Password: "x"}),
		"users[0].md5: 32 hex digits are needed, or a password":   user(User{Name: "a"}),
		"users[0].sha256: 64 hex digits are needed":               user(User{Name: "a", MD5: hash, SHA256: hash}),
		"users[0]: a password and a hash are given; one of them ": user(User{Name: "a", MD5: hash, Password: "x"}),
		"keys: none; make them with ParseKeys":                    func(c *Config) { c.Keys = Keys{} },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	_, err := New(Config{Users: []User{{}}})
	for _, field := range []string{"realm:", "users[0].name:", "keys:"} {
		if !strings.Contains(fmt.Sprint(err), field) {
			t.Errorf("%q is missing in %q", field, err)
		}
	}
}

// passwordFile writes both hashes of users with plaintext passwords.
func passwordFile(users ...User) string {
	var b strings.Builder
	for _, u := range users {
		for _, a := range []Algorithm{MD5, SHA256} {
			fmt.Fprintf(&b, "%s:%s:%s\n", u.Name, testRealm, HA1(a, u.Name, testRealm, u.Password))
		}
	}
	return b.String()
}

func TestPasswordFile(t *testing.T) {
	file := passwordFile(User{Name: "a", Password: "x y"}, User{Name: "b", Password: ":"})
	realm, users, err := ParsePasswordFile([]byte(file))
	if err != nil || realm != testRealm || len(users) != 2 {
		t.Fatalf("%q, %v, %v", realm, users, err)
	}
	if users[0] != (User{Name: "a", MD5: HA1(MD5, "a", testRealm, "x y"), SHA256: HA1(SHA256, "a", testRealm, "x y")}) {
		t.Errorf("%+v", users[0])
	}

	md5 := HA1(MD5, "a", testRealm, "x")
	for in, want := range map[string]string{
		"":                                      "no line with a user",
		"\n\r\n":                                "no line with a user",
		"a:squidfleet\n":                        "line 1: 2 fields; user:realm:HA1 is needed",
		"a:squidfleet:" + md5 + ":x":            "line 1: 4 fields; user:realm:HA1 is needed",
		"a:squidfleet:" + md5[1:]:               "line 1: HA1 is not 32 or 64 hex digits",
		"a:squidfleet:" + md5[1:] + "x":         "line 1: HA1 is not 32 or 64 hex digits",
		"a::" + md5:                             `line 1: realm ""; one realm for all lines is needed`,
		"\na:r:" + md5 + "\nb:s:" + md5:         `line 3: realm "s"; one realm for all lines is needed`,
		"a:r:" + md5 + "\na:r:" + md5:           `line 2: a second hash for "a"`,
		"# comment\na:squidfleet:" + md5 + "\n": "line 1: 1 fields; user:realm:HA1 is needed",
	} {
		if _, _, err := ParsePasswordFile([]byte(in)); fmt.Sprint(err) != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	// As Squid's own file: MD5 alone, in any case, with CRLF.
	_, users, err = ParsePasswordFile([]byte("a:squidfleet:" + strings.ToUpper(md5) + "\r\n"))
	if err != nil || len(users) != 1 || users[0].SHA256 != "" {
		t.Errorf("%v, %v", users, err)
	}
}

func TestEveryReasonHasAName(t *testing.T) {
	seen := map[string]bool{}
	for r := range reasons {
		name := r.String()
		if name == "" || seen[name] || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-0123456789") != "" {
			t.Errorf("%d: %q", r, name)
		}
		seen[name] = true
	}
}
