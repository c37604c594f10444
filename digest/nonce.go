package digest

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"net/netip"
	"time"
)

// A nonce is the base64 form of 27 bytes, without padding:
//
//	kind(1) unix seconds(5) random(6) MAC(15)
//
// The MAC is HMAC-SHA-256, cut to 120 bits, over the first twelve bytes, the client's address and,
// if the nonce is a proof, the user's HA1, so that a proof ends with the password; the realm is
// part of the key. Nobody stores nonces, and none shows the address. A proof has the random bytes
// of the nonce that it was given for: they name a lineage, from the open nonce that it began with.
const (
	nonceKin  = 6 // where the random bytes begin
	nonceHead = 12
	nonceMAC  = 15
	nonceRaw  = nonceHead + nonceMAC
	nonceText = nonceRaw * 4 / 3
)

// The kinds of nonce.
const (
	kindOpen  = 0 // given to anybody
	kindProof = 1 // given in exchange for a right response, for that user alone
)

var nonceEncoding = base64.RawURLEncoding

// makeNonce writes a nonce under the first key: an open one for no user, or a proof of the lineage
// of the nonce that was checked last.
func (v *Verifier) makeNonce(dst *[nonceText]byte, client netip.Addr, user *account, seconds int64) {
	v.raw[0] = kindProof
	if user == nil {
		v.raw[0] = kindOpen
		rand.Read(v.raw[nonceKin:nonceHead])
	}
	for i := range 5 {
		v.raw[1+i] = byte(seconds >> (8 * (4 - i)))
	}
	copy(v.raw[nonceHead:], v.nonceMAC(v.macs[0], client, user))
	nonceEncoding.Encode(dst[:], v.raw[:])
}

// checkNonce returns what is wrong with a nonce for this client and user, if anything; whether it
// is this client's own and recent enough to exempt from something; and whether it is a proof.
func (v *Verifier) checkNonce(
	nonce []byte, client netip.Addr, user *account, seconds int64,
) (reason Reason, recent, proof bool) {
	if len(nonce) != nonceText {
		return NonceForeign, false, false
	}
	if n, err := nonceEncoding.Decode(v.raw[:], nonce); err != nil || n != nonceRaw {
		return NonceForeign, false, false
	}
	proof = v.raw[0] == kindProof
	if !proof {
		user = nil
	}
	authentic := 0
	for _, mac := range v.macs {
		authentic |= subtle.ConstantTimeCompare(v.nonceMAC(mac, client, user), v.raw[nonceHead:])
	}
	if authentic == 0 {
		return NonceForeign, false, false
	}
	var made int64
	for _, b := range v.raw[1:nonceKin] {
		made = made<<8 | int64(b)
	}
	const life = int64(nonceLife / time.Second)
	switch age := seconds - made; {
	case -age > int64(clockSkew/time.Second):
		return NonceFuture, false, proof
	case age > life:
		return NonceExpired, age <= 2*life, proof
	}
	return Accepted, true, proof
}

// lineage returns the random bytes of the nonce that was checked last, and a user's name.
func (v *Verifier) lineage(user *account) []byte {
	v.buf = append(append(v.buf[:0], v.raw[nonceKin:nonceHead]...), user.name...)
	return v.buf
}

// mayExempt reports whether the nonce that was checked last may be, or lead to, an exemption from
// waiting.
func (v *Verifier) mayExempt(recent bool, user *account) bool {
	return recent && !v.spoiled.has(v.lineage(user))
}

// nonceMAC returns the MAC over the head of v.raw; it is valid until the next call.
func (v *Verifier) nonceMAC(mac hash.Hash, client netip.Addr, user *account) []byte {
	address := client.As16() // IPv4 in its mapped form, no zone
	v.buf = append(append(v.buf[:0], v.raw[:nonceHead]...), address[:]...)
	if user != nil {
		v.buf = append(v.buf, user.ha1[MD5]...)
	}
	mac.Reset()
	mac.Write(v.buf)
	v.sum = mac.Sum(v.sum[:0])
	return v.sum[:nonceMAC]
}
