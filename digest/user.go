package digest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// account is a user as the check wants it.
type account struct {
	name    string
	encoded string    // name for the helper's answer
	ha1     [2][]byte // by algorithm, in the lower-case hex that is hashed again
}

// readUsers reads lines "user:realm:HA1", as squid.PasswordFile writes them: for each user the MD5
// hash in 32 hex digits, perhaps followed by the SHA-256 hash in 64. All lines must name the same
// realm. Empty lines are allowed, and nothing else. An error names the line and nothing of a hash.
func readUsers(file []byte) (realm string, users map[string]*account, err error) {
	users = map[string]*account{}
	number := 0
	for line := range strings.Lines(string(file)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		wrong := func(format string, args ...any) (string, map[string]*account, error) {
			return "", nil, fmt.Errorf("line %d: "+format, append([]any{number}, args...)...)
		}
		field := strings.Split(line, ":")
		if len(field) != 3 {
			return wrong("%d fields; user:realm:HA1 is needed", len(field))
		}
		name, hash := field[0], toLower([]byte(field[2]))
		if len(users) == 0 {
			realm = field[1]
		}
		if field[1] != realm || realm == "" {
			return wrong("realm %q; one realm for all lines is needed", field[1])
		}
		algorithm := MD5
		if len(hash) == SHA256.digits() {
			algorithm = SHA256
		}
		user := users[name]
		if user == nil {
			user = &account{name: name, encoded: encode(name)}
			users[name] = user
		}
		switch {
		case len(hash) != algorithm.digits() || !isHex(hash):
			return wrong("HA1 is not 32 or 64 hex digits")
		case user.ha1[algorithm] != nil:
			return wrong("a second hash for %q", name)
		case algorithm == SHA256 && user.ha1[MD5] == nil:
			return wrong("no MD5 hash for %q before it", name)
		}
		user.ha1[algorithm] = hash
	}
	if len(users) == 0 {
		return "", nil, errors.New("no line with a user")
	}
	return realm, users, nil
}

// nobody is an account that no password fits: its hashes are random, not hashes of anything.
func nobody() *account {
	raw := make([]byte, (MD5.digits()+SHA256.digits())/2)
	rand.Read(raw)
	digits := hex.AppendEncode(nil, raw)
	return &account{ha1: [2][]byte{digits[:MD5.digits()], digits[MD5.digits():]}}
}

func toLower(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}

// encode writes a name as a value that Squid unescapes (RFC 1738), so that no name can end the
// value or start another one.
func encode(name string) string { return strings.ReplaceAll(url.QueryEscape(name), "+", "%20") }
