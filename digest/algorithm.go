package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
)

// Algorithm is a hash function of RFC 7616, section 6.1.
type Algorithm uint8

// The algorithms that are offered, never in their session (-sess) variants.
const (
	MD5 Algorithm = iota
	SHA256
)

// String returns the algorithm's name as in a header.
func (a Algorithm) String() string { return [...]string{MD5: "MD5", SHA256: "SHA-256"}[a] }

// digits returns the length of a hash in hex.
func (a Algorithm) digits() int { return [...]int{MD5: 2 * md5.Size, SHA256: 2 * sha256.Size}[a] }

// hex appends the hash of b in lower-case hex.
func (a Algorithm) hex(dst, b []byte) []byte {
	if a == SHA256 {
		sum := sha256.Sum256(b)
		return hex.AppendEncode(dst, sum[:])
	}
	sum := md5.Sum(b)
	return hex.AppendEncode(dst, sum[:])
}

// HA1 returns the hash of name:realm:password in lower-case hex, as password files hold it: it is
// as good as the password within the realm.
func HA1(a Algorithm, name, realm, password string) string {
	return string(a.hex(nil, []byte(name+":"+realm+":"+password)))
}

// respond appends the response of RFC 7616, section 3.4.1, in hex; buf is scratch space.
func respond(dst []byte, alg Algorithm, ha1, method []byte, h *header, buf *[]byte) []byte {
	var ha2 [2 * sha256.Size]byte
	b := append((*buf)[:0], method...)
	b = append(append(b, ':'), h.uri...)
	a2 := alg.hex(ha2[:0], b)

	b = append(b[:0], ha1...)
	for _, part := range [...][]byte{h.nonce, h.nc, h.cnonce, h.qop, a2} {
		b = append(append(b, ':'), part...)
	}
	*buf = b
	return alg.hex(dst, b)
}

// AppendChallenge appends a value of Proxy-Authenticate with the nonce of a refusal. A refusal has
// one such header for each algorithm that is offered, SHA-256 first: curl, Chromium and Go take the
// first. They share the nonce, because some clients (requests) mix up the parameters of two.
func (v *Verifier) AppendChallenge(dst []byte, a Algorithm, r *Result) []byte {
	for _, part := range [...]string{`Digest realm="`, v.realm, `", nonce="`} {
		dst = append(dst, part...)
	}
	dst = append(append(dst, r.Nonce[:]...), `", qop="auth", algorithm=`...)
	dst = append(append(dst, a.String()...), `, charset=UTF-8`...)
	if r.Stale {
		dst = append(dst, `, stale=true`...)
	}
	return dst
}
