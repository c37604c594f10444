package digest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
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

// account is a user as the check wants it: HA1 in the lower-case hex that is hashed again.
type account struct {
	name      string
	encoded   []byte // name for the helper's answer
	md5       [32]byte
	sha256    [64]byte
	hasSHA256 bool
}

func (u User) account(realm string) (*account, error) {
	if err := checkUserName(u.Name); err != nil {
		return nil, fmt.Errorf(".name: %w", err)
	}
	a := &account{name: u.Name, encoded: appendEncoded(nil, u.Name)}
	if u.Password != "" {
		if u.MD5 != "" || u.SHA256 != "" {
			return nil, errors.New(": a password and a hash are given; one of them is needed")
		}
		copy(a.md5[:], HA1(MD5, u.Name, realm, u.Password))
		copy(a.sha256[:], HA1(SHA256, u.Name, realm, u.Password))
		a.hasSHA256 = true
		return a, nil
	}
	if !isHash(u.MD5, len(a.md5)) {
		return nil, errors.New(".md5: 32 hex digits are needed, or a password")
	}
	copy(a.md5[:], lower(u.MD5))
	if u.SHA256 != "" {
		if !isHash(u.SHA256, len(a.sha256)) {
			return nil, errors.New(".sha256: 64 hex digits are needed")
		}
		copy(a.sha256[:], lower(u.SHA256))
		a.hasSHA256 = true
	}
	return a, nil
}

// nobody is an account that no password fits: its hashes are random, not hashes of anything.
func nobody() *account {
	var raw [48]byte
	rand.Read(raw[:])
	a := &account{hasSHA256: true}
	hex.Encode(a.md5[:], raw[:16])
	hex.Encode(a.sha256[:], raw[16:])
	return a
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

func isHash(s string, digits int) bool {
	if len(s) != digits {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

func lower(s string) []byte {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}

// appendEncoded appends a name as a value that Squid unescapes (RFC 1738), so
// that no name can end the value or start another one.
func appendEncoded(dst []byte, name string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
