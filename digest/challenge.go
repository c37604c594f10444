package digest

// AppendChallenge appends a value of Proxy-Authenticate with the nonce of a
// refusal. A refusal has one such header for each algorithm of
// [Verifier.Offers], in that order. They share the nonce, because some clients
// (requests) mix up the parameters of two challenges.
func (v *Verifier) AppendChallenge(dst []byte, a Algorithm, r *Result) []byte {
	dst = append(dst, `Digest realm="`...)
	dst = append(dst, v.realm...)
	dst = append(dst, `", nonce="`...)
	dst = append(dst, r.Nonce[:]...)
	dst = append(dst, `", qop="auth", algorithm=`...)
	dst = append(dst, a.String()...)
	dst = append(dst, `, charset=UTF-8`...)
	if r.Stale {
		dst = append(dst, `, stale=true`...)
	}
	return dst
}

// Offers returns the algorithms in order of preference: SHA-256 and MD5, or MD5
// alone if a user has only an MD5 hash. curl, Chromium and Go take the first.
func (v *Verifier) Offers() []Algorithm {
	if v.sha256 {
		return []Algorithm{SHA256, MD5}
	}
	return []Algorithm{MD5}
}
