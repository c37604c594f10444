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
		if len(k) != c.n {
			t.Errorf("%s: %d keys", c.name, len(k))
		}
	}
}

func TestPasswordFile(t *testing.T) {
	md5, sha := HA1(MD5, "a", testRealm, "x"), HA1(SHA256, "a", testRealm, "x")
	for in, want := range map[string]string{
		"":                                      "no line with a user",
		"\n\r\n":                                "no line with a user",
		"a:squidfleet\n":                        "line 1: 2 fields; user:realm:HA1 is needed",
		"a:squidfleet:" + md5 + ":x":            "line 1: 4 fields; user:realm:HA1 is needed",
		"a:squidfleet:" + md5[1:]:               "line 1: HA1 is not 32 or 64 hex digits",
		"a:squidfleet:" + md5[1:] + "x":         "line 1: HA1 is not 32 or 64 hex digits",
		"a:squidfleet:" + sha[1:] + "x":         "line 1: HA1 is not 32 or 64 hex digits",
		"a::" + md5:                             `line 1: realm ""; one realm for all lines is needed`,
		"\na:r:" + md5 + "\nb:s:" + md5:         `line 3: realm "s"; one realm for all lines is needed`,
		"a:r:" + md5 + "\na:r:" + md5:           `line 2: a second hash for "a"`,
		"a:r:" + sha + "\na:r:" + md5:           `line 1: no MD5 hash for "a" before it`,
		"# comment\na:squidfleet:" + md5 + "\n": "line 1: 1 fields; user:realm:HA1 is needed",
	} {
		if _, _, err := readUsers([]byte(in)); fmt.Sprint(err) != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	// As Squid's own file, with CRLF, and as ours.
	realm, users, err := readUsers([]byte("a:r:" + md5 + "\r\n\nb:r:" + md5 + "\nb:r:" + sha))
	if err != nil || realm != "r" || len(users) != 2 || string(users["b"].ha1[SHA256]) != sha {
		t.Errorf("%q, %v, %v", realm, users, err)
	}
}
