package digest

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"strings"
)

const (
	minKey      = 32 // characters: 128 bits even if they are hex digits
	maxKey      = 1024
	minDistinct = 8 // a random key of 32 hex digits has fewer once in ten million
	maxKeys     = 8
)

// ParseKeys reads one or several keys, separated by white space or commas: the first one signs
// nonces, all of them verify. A fleet whose tasks are replaced one after another takes a new key in
// three steps: behind the old one, so that all tasks know it; in front, so that all sign with it;
// alone, after a nonce's life.
//
// A key is any string of 32 to 1,024 printable ASCII characters, used as it is written: 32 random
// bytes in base64 or hex, or a generated password. It must be random and none of the passwords:
// with a guessable key, nonces can be forged. Errors name the position and never the key.
func ParseKeys(s string) ([]string, error) {
	fields := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })
	if len(fields) == 0 || len(fields) > maxKeys {
		return nil, fmt.Errorf("keys: %d given; 1 to %d are needed", len(fields), maxKeys)
	}
	for i, key := range fields {
		if len(key) < minKey || len(key) > maxKey {
			return nil, fmt.Errorf("keys[%d]: %d characters; %d to %d are needed", i, len(key), minKey, maxKey)
		}
		distinct := map[byte]bool{}
		for j := range len(key) {
			if key[j] <= ' ' || key[j] > '~' {
				return nil, fmt.Errorf("keys[%d]: character %d is not printable ASCII", i, j)
			}
			distinct[key[j]] = true
		}
		if n := len(distinct); n < minDistinct {
			return nil, fmt.Errorf("keys[%d]: only %d different characters; that is not a random key", i, n)
		}
		if j := slices.Index(fields, key); j < i {
			return nil, fmt.Errorf("keys[%d]: the same as keys[%d]", i, j)
		}
	}
	return fields, nil
}

// macs returns the MACs of the keys, each of which belongs to one realm.
func macs(keys []string, realm string) []hash.Hash {
	macs := make([]hash.Hash, len(keys))
	for i, secret := range keys {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "squidfleet digest nonce 1 "+realm, sha256.Size)
		if err != nil {
			panic(err) // only for a length that HKDF cannot give
		}
		macs[i] = hmac.New(sha256.New, key)
	}
	return macs
}
