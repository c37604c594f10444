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
// client's address and, if the nonce is a proof, the user's name; the realm is
// part of the key. Nobody stores nonces, and none tells the address.
const (
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
	nonceExpired
	nonceValid
)

var nonceEncoding = base64.RawURLEncoding

// makeNonce writes a nonce under the first key; user is empty for an open one.
func (c *checker) makeNonce(dst *[nonceText]byte, client netip.Addr, user []byte, seconds int64) {
	raw := &c.raw
	raw[0] = kindOpen
	if len(user) > 0 {
		raw[0] = kindProof
	}
	for i := range 5 {
		raw[1+i] = byte(seconds >> (8 * (4 - i)))
	}
	rand.Read(raw[6:nonceHead])
	copy(raw[nonceHead:], c.nonceMAC(0, client, user))
	nonceEncoding.Encode(dst[:], raw[:])
}

// checkNonce tells what a nonce is worth for this client and user, and whether
// it is a proof. Only authentic nonces are proofs.
func (c *checker) checkNonce(nonce []byte, client netip.Addr, user []byte, seconds int64) (state nonceState, proof bool) {
	raw := &c.raw
	if len(nonce) != nonceText {
		return nonceForeign, false
	}
	if _, err := nonceEncoding.Decode(raw[:], nonce); err != nil {
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
	for _, b := range raw[1:6] {
		made = made<<8 | int64(b)
	}
	switch {
	case made-seconds > c.v.skew:
		return nonceFuture, false
	case seconds-made > c.v.life:
		return nonceExpired, proof
	}
	return nonceValid, proof
}

// nonceMAC returns the MAC over c.raw's head under key i; it is valid until the next call.
func (c *checker) nonceMAC(i int, client netip.Addr, user []byte) []byte {
	mac := c.macs[i]
	mac.Reset()
	address := client.As16() // IPv4 in its mapped form, no zone
	c.buf = append(append(append(c.buf[:0], c.raw[:nonceHead]...), address[:]...), user...)
	mac.Write(c.buf)
	c.sum = mac.Sum(c.sum[:0])
	return c.sum[:nonceMAC]
}
