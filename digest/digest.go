// Package digest verifies HTTP Digest proxy credentials (RFC 7616) without keeping a session
// anywhere, so that every task of a fleet accepts what any other task offered. It also verifies
// Basic ones (RFC 7617), against the same hashes.
//
// A nonce carries its time and a MAC over the realm and the client's address, under a key that all
// tasks share. A header is accepted when
//
//   - its nonce was made with one of the keys, for this client address, not longer ago than
//     nonceLife;
//   - its uri names what is being requested, in one of the forms that clients write;
//   - its response fits the user's password, that uri and the request's method.
//
// qop is auth, the algorithms are SHA-256 and MD5; sessions (-sess), auth-int, RFC 2069 responses
// without qop, and userhash are refused.
//
// Wrong passwords are counted per client address (IPv6: per /64). After [GuessBurst] of them every
// check from there waits its turn, and beyond [GuessDelay] it is refused unchecked. A client that
// has shown the password is exempt: on this task, with a nonce that it has accepted; on every task,
// with a proof, which is a nonce that was given in exchange for a right response. One wrong
// password ends the exemption of the whole chain of nonces. No Basic request is exempt.
//
// docs/design/security.md says what a header does not prove, and how much can be guessed.
package digest

import (
	"hash"
	"sync"
	"time"
)

const (
	nonceLife = 30 * time.Minute // how long a nonce is accepted
	clockSkew = time.Minute      // how far ahead of ours the clock of another task may be
)

// Verifier decides about requests, one after another.
type Verifier struct {
	realm  string
	users  map[string]*account
	nobody *account    // stands in for unknown names, at the same cost
	sha256 bool        // offered
	basic  bool        // offered
	macs   []hash.Hash // none: Digest is not offered
	now    func() time.Time

	mu      sync.Mutex // everything below
	guesses *guesses
	proven  *memory // lineages of accepted responses
	spoiled *memory // lineages that a wrong password has ended the exemption of

	// What one check after another uses again, so that none of them allocates.
	target         target
	header         header
	raw            [nonceRaw]byte
	buf, sum, want []byte
}

// New returns a verifier for the users of a password file, whose realm is shown in challenges.
// SHA-256 is offered if the file has a hash of it for each user.
//
// The keys, see [ParseKeys], sign and verify nonces: every task of a fleet needs the same. Without
// keys, Digest is neither offered nor accepted. With basic, Basic is.
func New(passwordFile []byte, keys []string, basic bool) (*Verifier, error) {
	realm, users, err := readUsers(passwordFile)
	if err != nil {
		return nil, err
	}
	v := &Verifier{realm: realm, users: users, nobody: nobody(), sha256: true, basic: basic, macs: macs(keys, realm),
		now: time.Now, guesses: newGuesses(guessAddresses), proven: newMemory(), spoiled: newMemory()}
	for _, user := range users {
		v.sha256 = v.sha256 && user.ha1[SHA256] != nil
	}
	return v, nil
}

// user returns the account of a name, or the stand-in.
func (v *Verifier) user(name []byte) (user *account, known bool) {
	if user, known = v.users[string(name)]; !known {
		user = v.nobody
	}
	return user, known
}
