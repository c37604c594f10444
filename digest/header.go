package digest

import (
	"bytes"
	"unicode/utf8"
)

// Limits of a header.
const (
	maxHeader   = 16 << 10 // a uri may take 8 KiB: Squid accepts no longer ones
	maxParams   = 32       // twice what RFC 7616 defines, empty list elements counted
	maxUserName = 128
	maxCnonce   = 256
)

// header is a parsed Proxy-Authorization: the values without quotes and escapes.
type header struct{ username, realm, nonce, uri, response, algorithm, cnonce, qop, nc, userhash []byte }

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
	scheme, b := cutToken(b)
	if !bytes.EqualFold(scheme, []byte("Digest")) {
		return NotDigest
	}
	if len(b) == len(skipBlank(b)) {
		return HeaderMalformed
	}

	strange := make([][]byte, 0, maxParams) // names we do not know, to see repetitions of them
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
		field, extended := h.field(name)
		value, rest, quoted, ok := cutValue(skipBlank(rest[1:]), field == &h.uri, t)
		if ok && extended {
			value, ok = decodeExt(value)
			ok = ok && !quoted
		}
		if !ok {
			return HeaderMalformed
		}
		switch {
		case field == nil:
			for _, other := range strange {
				if bytes.EqualFold(other, name) {
					return ParameterRepeated
				}
			}
			strange = append(strange, name)
		case *field != nil:
			return ParameterRepeated
		default:
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
	for _, needed := range [...][]byte{h.username, h.realm, h.nonce, h.uri, h.response, h.cnonce, h.qop, h.nc} {
		if needed == nil {
			return ParameterMissing
		}
	}
	return Accepted
}

// field returns where a parameter's value belongs (RFC 7616, section 3.4), and whether it is an
// extended one.
func (h *header) field(name []byte) (field *[]byte, extended bool) {
	for _, p := range [...]struct {
		name  string
		field *[]byte
	}{
		{"username", &h.username}, {"username*", &h.username}, {"realm", &h.realm}, {"nonce", &h.nonce},
		{"uri", &h.uri}, {"response", &h.response}, {"algorithm", &h.algorithm}, {"cnonce", &h.cnonce},
		{"qop", &h.qop}, {"nc", &h.nc}, {"userhash", &h.userhash},
	} {
		if len(name) == len(p.name) && bytes.EqualFold(name, []byte(p.name)) {
			return p.field, p.name == "username*"
		}
	}
	return nil, false
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
		len(h.response) != alg.digits() || !isHex(h.response):
		return 0, HeaderMalformed
	}
	return alg, Accepted
}

func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

func skipBlank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// tchar is the one of RFC 9110, section 5.6.2.
const tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var isToken = func() (set [256]bool) {
	for _, c := range []byte(tchar) {
		set[c] = true
	}
	return set
}()

func cutToken(b []byte) (token, rest []byte) {
	i := 0
	for i < len(b) && isToken[b[i]] {
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

// decodeExt decodes an extended value of RFC 8187 in place: UTF-8, a language that is ignored, and
// percent-encoded bytes that must be UTF-8 again.
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
			if c, ok = percent(b[i:]); !ok {
				return nil, false
			}
			i += 2
		} else if c == '\'' || c == '*' {
			return nil, false // tokens, but not attr-char
		}
		b[n] = c
		n++
	}
	return b[:n], utf8.Valid(b[:n])
}
