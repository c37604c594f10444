package squid

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"squidfleet/digest"
)

// Credential is a user who may use the proxy.
type Credential struct{ User, Password string }

// PasswordFile renders the Digest password file: for each user, in the order given, a record
// user:realm:HA1 with the MD5 hash (RFC 7616, section 3.4.2; what Squid's digest_file_auth -c
// reads), and for the fleet's own helper one with the SHA-256 hash.
func PasswordFile(by Digest, realm string, credentials []Credential) ([]byte, error) {
	if err := CheckRealm(realm); err != nil {
		return nil, fmt.Errorf("realm: %w", err)
	}
	if len(credentials) == 0 {
		return nil, errors.New("users: none given")
	}
	algorithms := []digest.Algorithm{digest.MD5}
	if by == DigestFleet {
		algorithms = append(algorithms, digest.SHA256)
	}
	var file strings.Builder
	seen := map[string]bool{}
	for i, c := range credentials {
		if err := CheckUser(c.User); err != nil {
			return nil, fmt.Errorf("users[%d]: %w", i, err)
		}
		if seen[c.User] {
			return nil, fmt.Errorf("users[%d]: %q is given twice", i, c.User)
		}
		seen[c.User] = true
		if err := CheckPassword(c.Password); err != nil {
			return nil, fmt.Errorf("password of %s: %w", c.User, err)
		}
		for _, a := range algorithms {
			fmt.Fprintf(&file, "%s:%s:%s\n", c.User, realm, digest.HA1(a, c.User, realm, c.Password))
		}
	}
	return []byte(file.String()), nil
}

// PasswordVariable names the environment variable of a user's password: SQUIDFLEET_PASSWORD_ and
// the user's name in upper case, with an underscore for everything but letters and digits. Two
// users of one fleet must not share a variable.
func PasswordVariable(user string) string {
	return "SQUIDFLEET_PASSWORD_" + strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && alphanumeric(byte(r)) {
			return r
		}
		return '_'
	}, strings.ToUpper(user))
}

// Limits of the names and passwords, in bytes.
const (
	maxNameLength     = 64
	minPasswordLength = 8
	maxPasswordLength = 128
)

// What CheckUser and CheckRealm accept.
const (
	UserLimits  = "letters, digits and . _ - @ +, beginning with a letter or a digit"
	RealmLimits = "letters, digits, single spaces and . _ - @ + / ( ), " +
		"beginning with a letter or a digit, ending with one or with )"
)

// CheckUser returns an error if a user name cannot stand unquoted in the password file, a header
// and a log line.
func CheckUser(user string) error {
	return checkName("user name", user, UserLimits, func(i int, c byte) bool {
		return alphanumeric(c) || i > 0 && strings.IndexByte("._-@+", c) >= 0
	})
}

// CheckRealm returns an error if a realm cannot stand unquoted in squid.conf, the password file
// and a header.
func CheckRealm(realm string) error {
	return checkName("realm", realm, RealmLimits, func(i int, c byte) bool {
		switch {
		case alphanumeric(c):
			return true
		case i == 0:
			return false
		case i == len(realm)-1:
			return c == ')'
		case c == ' ':
			return realm[i-1] != ' '
		}
		return strings.IndexByte("._-@+/()", c) >= 0
	})
}

func checkName(what, name, allowed string, ok func(i int, c byte) bool) error {
	if name == "" {
		return fmt.Errorf("empty %s", what)
	}
	if len(name) > maxNameLength {
		return fmt.Errorf("%s of %d bytes: at most %d are allowed", what, len(name), maxNameLength)
	}
	for i := range len(name) {
		if !ok(i, name[i]) {
			r, _ := utf8.DecodeRuneInString(name[i:])
			return fmt.Errorf("%q has %q at byte %d: allowed are %s", name, r, i+1, allowed)
		}
	}
	return nil
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// CheckPassword returns an error if a password is not accepted. The error never holds the password.
func CheckPassword(password string) error {
	switch {
	case password == "":
		return errors.New("empty")
	case len(password) < minPasswordLength:
		return fmt.Errorf("%d bytes long: at least %d are required, because the proxy faces the internet",
			len(password), minPasswordLength)
	case len(password) > maxPasswordLength:
		return fmt.Errorf("%d bytes long: at most %d are allowed", len(password), maxPasswordLength)
	case !utf8.ValidString(password):
		return errors.New("not valid UTF-8")
	}
	for _, r := range password {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return errors.New("holds a control character")
		}
	}
	return nil
}
