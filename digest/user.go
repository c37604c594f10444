package digest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

const maxUserName = 128

// User is an account: a name and either its plaintext password or its hashes.
type User struct {
	// Name is UTF-8 without control characters and ':', 1 to 128 bytes.
	Name string
	// Password is the plaintext. It is hashed with both algorithms and not kept.
	Password string
	// MD5 is HA1 = MD5(name:realm:password), 32 hex digits; given instead of Password.
	MD5 string
	// SHA256 is HA1 with SHA-256, 64 hex digits; optional beside MD5.
	SHA256 string
}

// account is a user as the check wants it.
type account struct {
	name    string
	encoded string    // name for the helper's answer
	ha1     [2][]byte // by algorithm, in the lower-case hex that is hashed again
}

func (u User) account(realm string) (*account, error) {
	if err := checkUserName(u.Name); err != nil {
		return nil, fmt.Errorf(".name: %w", err)
	}
	if u.Password != "" {
		if u.MD5 != "" || u.SHA256 != "" {
			return nil, errors.New(": a password and a hash are given; one of them is needed")
		}
		u.MD5, u.SHA256 = HA1(MD5, u.Name, realm, u.Password), HA1(SHA256, u.Name, realm, u.Password)
	}
	if !isHash(u.MD5, MD5) {
		return nil, errors.New(".md5: 32 hex digits are needed, or a password")
	}
	if u.SHA256 != "" && !isHash(u.SHA256, SHA256) {
		return nil, errors.New(".sha256: 64 hex digits are needed")
	}
	return &account{u.Name, encode(u.Name), [2][]byte{toLower([]byte(u.MD5)), toLower([]byte(u.SHA256))}}, nil
}

// nobody is an account that no password fits: its hashes are random, not hashes of anything.
func nobody() *account {
	raw := make([]byte, (MD5.digits()+SHA256.digits())/2)
	rand.Read(raw)
	digits := hex.AppendEncode(nil, raw)
	return &account{ha1: [2][]byte{digits[:MD5.digits()], digits[MD5.digits():]}}
}

func checkUserName(name string) error {
	if name == "" || len(name) > maxUserName {
		return fmt.Errorf("%d bytes; 1 to %d are needed", len(name), maxUserName)
	}
	if !utf8.ValidString(name) {
		return errors.New("not UTF-8")
	}
	for _, r := range name {
		if r < ' ' || r == ':' || r >= 0x7f && r < 0xa0 {
			return fmt.Errorf("%q is not allowed in a name", r)
		}
	}
	return nil
}

func isHash(s string, a Algorithm) bool { return len(s) == a.digits() && isHex([]byte(s)) }

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
