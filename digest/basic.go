package digest

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"
	"time"
	"unicode/utf8"
)

// maxBasic is the longest Basic header, in bytes behind the scheme. It is room for the longest name
// and password of this project. Squid keeps headers with right passwords in memory.
const maxBasic = 1024

// cutBasic returns what follows the scheme, and whether the scheme is Basic.
func cutBasic(header []byte) (rest []byte, is bool) {
	scheme, rest := cutToken(header)
	return rest, bytes.EqualFold(scheme, []byte("Basic"))
}

// parseBasic reads name and password behind the scheme (RFC 7617, section 2). The name ends at the
// first colon. Text that is not UTF-8 is taken for ISO-8859-1, as some clients (requests) send it.
func parseBasic(b []byte) (name, password []byte, reason Reason) {
	if len(b) > maxBasic {
		return nil, nil, HeaderTooLong
	}
	coded := skipBlank(b)
	if len(coded) == len(b) {
		return nil, nil, HeaderMalformed
	}
	coded = bytes.TrimRight(coded, " \t")
	text, err := base64.StdEncoding.Strict().AppendDecode(nil, coded)
	if err != nil || bytes.ContainsAny(coded, "\r\n") { // which the decoder skips
		return nil, nil, HeaderMalformed
	}
	if !utf8.Valid(text) {
		latin := text
		text = make([]byte, 0, 2*len(latin))
		for _, c := range latin {
			text = utf8.AppendRune(text, rune(c))
		}
	}
	name, password, found := bytes.Cut(text, []byte{':'})
	if !found {
		return nil, nil, HeaderMalformed
	}
	return name, password, Accepted
}

// verifyBasic decides about what follows the scheme. An address in debt is refused before its
// password is checked.
func (v *Verifier) verifyBasic(result *Result, rest []byte, client netip.Addr, now time.Time) {
	name, password, reason := parseBasic(rest)
	if reason != Accepted {
		v.refuse(result, reason, client, nil, now)
		return
	}
	user, known := v.user(name)
	wait := v.guesses.wait(client, now)
	if wait > GuessDelay {
		result.Reason = Throttled
		return
	}
	result.Delay = wait
	v.buf = append(append(append(v.buf[:0], name...), ':'), v.realm...)
	v.buf = append(append(v.buf, ':'), password...)
	v.want = MD5.hex(v.want[:0], v.buf)
	if right := subtle.ConstantTimeCompare(v.want, user.ha1[MD5]) == 1; right && known {
		result.User, result.encoded = user.name, user.encoded
		return
	}
	v.refuse(result, v.guessed(client, known, now), client, nil, now)
}
