package digest

import (
	"bytes"
	"unicode/utf8"
)

// Limits of a header.
const (
	maxHeader = 16 << 10 // a uri may take 8 KiB: Squid accepts no longer ones
	maxParams = 32       // twice what RFC 7616 defines, empty list elements counted
	maxCnonce = 256
)

// header is a parsed Proxy-Authorization: the values without quotes and escapes.
type header struct {
	username, realm, nonce, uri, response, algorithm, cnonce, qop, nc []byte
	userhash                                                          []byte
}

// The parameters of RFC 7616, section 3.4, as bits.
const (
	paramUsername = 1 << iota
	paramUsernameExt
	paramRealm
	paramNonce
	paramURI
	paramResponse
	paramAlgorithm
	paramCnonce
	paramQop
	paramNc
	paramUserhash
	paramOpaque

	paramsNeeded = paramRealm | paramNonce | paramURI | paramResponse | paramCnonce | paramQop | paramNc
)

// parse reads the header value of a request for t. The values point into b, which is overwritten
// where something was escaped. It follows the grammar of RFC 9110, section 11.4, with nothing
// after it and no parameter twice. Only a uri may also name the target without escapes.
// Unknown parameters are ignored, as the RFC wants; so is opaque, since none is given out.
func (h *header) parse(b []byte, t *target) Reason {
	*h = header{}
	if len(b) == 0 {
		return NoCredentials
	}
	if len(b) > maxHeader {
		return HeaderTooLong
	}
	const scheme = "Digest"
	if len(b) < len(scheme) || !bytes.EqualFold(b[:len(scheme)], []byte(scheme)) {
		return NotDigest
	}
	b = b[len(scheme):]
	if len(b) > 0 && isToken(b[0]) {
		return NotDigest // Digestive
	}
	if len(b) == 0 || !isBlank(b[0]) {
		return HeaderMalformed
	}

	var (
		seen    int
		strange [maxParams][]byte // names we do not know, to see repetitions of them
		unknown int
	)
	for params := 1; ; params++ {
		if params > maxParams {
			return HeaderTooLong
		}
		b = skipBlank(b)
		if len(b) == 0 {
			break
		}
		if b[0] == ',' { // an empty element: RFC 9110, section 5.6.1
			b = b[1:]
			continue
		}
		name, rest := cutToken(b)
		rest = skipBlank(rest)
		if len(name) == 0 || len(rest) == 0 || rest[0] != '=' {
			return HeaderMalformed
		}
		bit, field := h.field(name)
		value, rest, quoted, ok := cutValue(skipBlank(rest[1:]), bit == paramURI, t)
		if !ok {
			return HeaderMalformed
		}
		switch {
		case bit == 0:
			for _, other := range strange[:unknown] {
				if bytes.EqualFold(other, name) {
					return ParameterRepeated
				}
			}
			strange[unknown] = name
			unknown++
		case seen&bit != 0:
			return ParameterRepeated
		case bit == paramUsernameExt:
			if value, ok = decodeExt(value); !ok || quoted {
				return HeaderMalformed
			}
		}
		seen |= bit
		if field != nil {
			*field = value
		}

		b = skipBlank(rest)
		if len(b) == 0 {
			break
		}
		if b[0] != ',' {
			return HeaderMalformed
		}
		b = b[1:]
	}

	const names = paramUsername | paramUsernameExt
	switch {
	case seen&names == names:
		return ParameterRepeated
	case seen&paramsNeeded != paramsNeeded || seen&names == 0:
		return ParameterMissing
	}
	return Accepted
}

// field returns a parameter's bit and where its value belongs.
func (h *header) field(name []byte) (bit int, field *[]byte) {
	var low [16]byte
	if len(name) > len(low) {
		return 0, nil
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	switch string(low[:len(name)]) {
	case "username":
		return paramUsername, &h.username
	case "username*":
		return paramUsernameExt, &h.username
	case "realm":
		return paramRealm, &h.realm
	case "nonce":
		return paramNonce, &h.nonce
	case "uri":
		return paramURI, &h.uri
	case "response":
		return paramResponse, &h.response
	case "algorithm":
		return paramAlgorithm, &h.algorithm
	case "cnonce":
		return paramCnonce, &h.cnonce
	case "qop":
		return paramQop, &h.qop
	case "nc":
		return paramNc, &h.nc
	case "userhash":
		return paramUserhash, &h.userhash
	case "opaque":
		return paramOpaque, nil
	}
	return 0, nil
}

// check judges the values by themselves and tells the algorithm.
func (h *header) check(realm string, sha256 bool) (Algorithm, Reason) {
	if h.userhash != nil && !bytes.EqualFold(h.userhash, []byte("false")) {
		return 0, UserhashRefused
	}
	alg := MD5 // what a missing algorithm means: RFC 7616, section 3.3
	switch {
	case h.algorithm == nil || bytes.EqualFold(h.algorithm, []byte("MD5")):
	case bytes.EqualFold(h.algorithm, []byte("SHA-256")):
		alg = SHA256
	case len(h.algorithm) > 5 && bytes.EqualFold(h.algorithm[len(h.algorithm)-5:], []byte("-sess")):
		return 0, SessionAlgorithm
	default:
		return 0, AlgorithmNotOffered
	}
	switch {
	case alg == SHA256 && !sha256:
		return 0, AlgorithmNotOffered
	case string(h.qop) != "auth":
		return 0, QopNotOffered
	case string(h.realm) != realm:
		return 0, RealmMismatch
	case len(h.username) == 0 || len(h.username) > maxUserName,
		len(h.cnonce) == 0 || len(h.cnonce) > maxCnonce,
		len(h.uri) == 0,
		len(h.nc) != 8 || !isHex(h.nc) || string(h.nc) == "00000000", // it counts from 1
		len(h.response) != len(alg.zero()) || !isHex(h.response):
		return 0, HeaderMalformed
	}
	return alg, Accepted
}

// zero returns a hash of the algorithm's length in hex.
func (a Algorithm) zero() string {
	const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
	if a == SHA256 {
		return zeros
	}
	return zeros[:32]
}

func isHex(b []byte) bool {
	for _, c := range b {
		if unhex(c) < 0 {
			return false
		}
	}
	return true
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func skipBlank(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	return b
}

// tokenBytes is tchar of RFC 9110, section 5.6.2.
var tokenBytes = func() (set [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		set[c] = true
	}
	return set
}()

func isToken(c byte) bool { return tokenBytes[c] }

func cutToken(b []byte) (token, rest []byte) {
	i := 0
	for i < len(b) && isToken(b[i]) {
		i++
	}
	return b[:i], b[i:]
}

// cutValue cuts a token or a quoted string, whose escapes it resolves in place, or a uri that
// names the target without them.
func cutValue(b []byte, uri bool, t *target) (value, rest []byte, quoted, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		value, rest = cutToken(b)
		return value, rest, false, len(value) > 0
	}
	b = b[1:]
	if uri {
		if n := t.literal(b); n > 0 {
			return b[:n], b[n+1:], true, true
		}
	}
	n := 0 // bytes of the value so far
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '"' {
			return b[:n], b[i+1:], true, true
		}
		if c == '\\' {
			if i++; i == len(b) {
				break
			}
			c = b[i]
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			break
		}
		b[n] = c
		n++
	}
	return nil, nil, true, false
}

// decodeExt decodes an extended value of RFC 8187 in place: UTF-8, a language
// that is ignored, and percent-encoded bytes that must be UTF-8 again.
func decodeExt(b []byte) ([]byte, bool) {
	const charset = "UTF-8'"
	if len(b) < len(charset) || !bytes.EqualFold(b[:len(charset)], []byte(charset)) {
		return nil, false
	}
	_, b, ok := bytes.Cut(b[len(charset):], []byte("'"))
	if !ok {
		return nil, false
	}
	n := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '%' {
			if i+2 >= len(b) || unhex(b[i+1]) < 0 || unhex(b[i+2]) < 0 {
				return nil, false
			}
			c = byte(unhex(b[i+1])<<4 | unhex(b[i+2]))
			i += 2
		} else if c == '\'' || c == '*' {
			return nil, false // tokens, but not attr-char
		}
		b[n] = c
		n++
	}
	return b[:n], utf8.Valid(b[:n])
}
