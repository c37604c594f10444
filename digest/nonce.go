package digest

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"
)

// A nonce is the base64 form of 27 bytes, without padding:
//
//	kind(1) unix seconds(5) random(6) MAC(15)
//
// The MAC is HMAC-SHA-256, cut to 120 bits, over the first twelve bytes, the
// client's address and, if the nonce is a proof, the user's HA1, so that a proof
// ends with the password; the realm is part of the key. Nobody stores nonces,
// and none tells the address. A proof has the random bytes of the nonce that it
// was given for: they name a lineage, from the open nonce that it began with.
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

type nonceState uint8

const (
	nonceForeign nonceState = iota // forged, another client's, or under a key we do not have
	nonceFuture
	nonceOld     // expired, for so long that it exempts from nothing
	nonceExpired // for less than a life
	nonceValid
)

var nonceEncoding = base64.RawURLEncoding

// makeNonce writes a nonce under the first key: an open one for no user, or a
// proof of the lineage of the nonce that was checked last.
func (c *checker) makeNonce(dst *[nonceText]byte, client netip.Addr, user *account, seconds int64) {
	raw := &c.raw
	raw[0] = kindProof
	if user == nil {
		raw[0] = kindOpen
		rand.Read(raw[nonceKin:nonceHead])
	}
	for i := range 5 {
		raw[1+i] = byte(seconds >> (8 * (4 - i)))
	}
	copy(raw[nonceHead:], c.nonceMAC(0, client, user))
	nonceEncoding.Encode(dst[:], raw[:])
}

// checkNonce tells what a nonce is worth for this client and user, and whether
// it is a proof. Only authentic nonces are proofs.
func (c *checker) checkNonce(
	nonce []byte, client netip.Addr, user *account, seconds int64,
) (state nonceState, proof bool) {
	raw := &c.raw
	if len(nonce) != nonceText {
		return nonceForeign, false
	}
	if n, err := nonceEncoding.Decode(raw[:], nonce); err != nil || n != nonceRaw {
		return nonceForeign, false
	}
	proof = raw[0] == kindProof
	if !proof {
		user = nil
	}
	authentic := 0
	for i := range c.macs {
		authentic |= subtle.ConstantTimeCompare(c.nonceMAC(i, client, user), raw[nonceHead:])
	}
	if authentic == 0 {
		return nonceForeign, false
	}
	var made int64
	for _, b := range raw[1:nonceKin] {
		made = made<<8 | int64(b)
	}
	switch {
	case made-seconds > c.v.skew:
		return nonceFuture, proof
	case seconds-made > 2*c.v.life:
		return nonceOld, proof
	case seconds-made > c.v.life:
		return nonceExpired, proof
	}
	return nonceValid, proof
}

// lineage returns the random bytes of the nonce that was checked last, and a user's name.
func (c *checker) lineage(user *account) []byte {
	c.buf = append(append(c.buf[:0], c.raw[nonceKin:nonceHead]...), user.name...)
	return c.buf
}

// mayExempt tells whether a nonce may be, or lead to, an exemption from waiting.
func (c *checker) mayExempt(state nonceState, user *account) bool {
	return state >= nonceExpired && !c.v.spoiled.has(c.lineage(user))
}

// nonceMAC returns the MAC over c.raw's head under key i; it is valid until the next call.
func (c *checker) nonceMAC(i int, client netip.Addr, user *account) []byte {
	mac := c.macs[i]
	mac.Reset()
	address := client.As16() // IPv4 in its mapped form, no zone
	c.buf = append(append(c.buf[:0], c.raw[:nonceHead]...), address[:]...)
	if user != nil {
		c.buf = append(c.buf, user.md5[:]...)
	}
	mac.Write(c.buf)
	c.sum = mac.Sum(c.sum[:0])
	return c.sum[:nonceMAC]
}
