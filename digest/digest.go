// Package digest verifies HTTP Digest proxy credentials (RFC 7616) without keeping a session
// anywhere, so that every task of a fleet accepts what any other task offered. It also verifies
// Basic ones (RFC 7617), against the same hashes.
//
// # What a header proves
//
// A nonce carries its time and a MAC over the realm and the client's address, under a key that all
// tasks share. A header is accepted when
//
//   - its nonce was made with one of the keys, for this client address, and is
//     neither older than [Config.NonceLife] nor further in the future than
//     a minute;
//   - its uri names what is being requested, in one of the forms that clients write;
//   - its response fits the user's password, that uri and the request's method.
//
// qop is auth, the algorithms are SHA-256 and MD5; sessions (-sess), auth-int, RFC 2069 responses
// without qop, and userhash are refused.
//
// # What it does not prove
//
// A reader of the wire who can send from the same client address can repeat a header within the
// nonce's life: the same method and target, and, where the client put only path and query into uri
// (as most do), the same path on another host. The body and the other headers are not covered. On a
// wire that others can read, put TLS under it.
//
// # Guessing
//
// Wrong passwords are counted per client address (IPv6: per /64). After [GuessBurst] of them every
// check from there waits its turn, whether its password is right or not, and beyond [GuessDelay] it
// is refused unchecked. Each task counts for itself, and anew from its start.
//
// A client that has shown the password is exempt: on this task, with a nonce that it has accepted;
// on every task, with a proof, which is a nonce that was given in exchange for a right response. A
// client gets a proof when it renews a nonce, or from a task on which it would have to wait. So a
// client behind the same NAT as an attacker keeps working on the tasks that it has used, and with
// its second nonce on all of them. Elsewhere it waits for a turn or is refused.
//
// A proof is bound to the password, the address and the user. Only a client's own nonce leads to
// one. An exemption ends two nonce lives after its nonce was made. One wrong password ends the
// exemption of the whole chain of nonces. So a captured header is good for one guess a task beyond
// those of everybody else.
//
// Wrong Basic passwords are on the same account, and no Basic request is exempt. Squid remembers
// right ones and does not ask again: see [BasicFormat]. So a client at the address of a guesser
// keeps working for as long as Squid remembers its password. For as long, a guess of that password
// does not wait, because Squid finds it without a check.
package digest

import (
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"
)

const (
	nonceLife = 30 * time.Minute // how long a nonce is accepted
	clockSkew = time.Minute      // how far ahead of ours the clock of another task may be
	maxUsers  = 1000
)

// Config says who is let in.
type Config struct {
	// Realm is shown in the challenge and is part of every password hash: printable ASCII without
	// '"', '\' and ':', 1 to 128 bytes.
	Realm string
	// Users are the accounts, at least one, with distinct names. SHA-256 is offered if each of
	// them has a plaintext password or a SHA-256 hash.
	Users []User
	// Keys sign and verify nonces; see [ParseKeys]. Every task of a fleet needs the same. Without
	// keys, Digest is neither offered nor accepted: then Basic has to be.
	Keys Keys
	// Basic is whether Basic is offered and accepted.
	Basic bool
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

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
	respond respondFunc

	// What one check after another uses again, so that none of them allocates.
	target         target
	header         header
	raw            [nonceRaw]byte
	buf, sum, want []byte
}

// New returns a verifier, or an error that names every field that is wrong.
func New(c Config) (*Verifier, error) {
	v := &Verifier{realm: c.Realm, users: make(map[string]*account, len(c.Users)), sha256: true, basic: c.Basic,
		now: c.Now, nobody: nobody(), guesses: newGuesses(guessAddresses), proven: newMemory(), spoiled: newMemory(),
		respond: respond}
	var errs []error
	if err := checkRealm(c.Realm); err != nil {
		errs = append(errs, fmt.Errorf("realm: %w", err))
	}
	if n := len(c.Users); n == 0 || n > maxUsers {
		errs = append(errs, fmt.Errorf("users: %d given; 1 to %d are needed", n, maxUsers))
	}
	for i, u := range c.Users {
		a, err := u.account(c.Realm)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("users[%d]%w", i, err))
		case v.users[u.Name] != nil:
			errs = append(errs, fmt.Errorf("users[%d].name: %q is given twice", i, u.Name))
		default:
			v.users[u.Name] = a
			v.sha256 = v.sha256 && len(a.ha1[SHA256]) > 0
		}
	}
	if len(c.Keys.secrets) == 0 && !c.Basic {
		errs = append(errs, errors.New("keys: none; make them with ParseKeys, or accept Basic"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	v.macs = c.Keys.macs(c.Realm)
	if v.now == nil {
		v.now = time.Now
	}
	return v, nil
}

func checkRealm(realm string) error {
	if realm == "" || len(realm) > 128 {
		return fmt.Errorf("%d bytes; 1 to 128 are needed", len(realm))
	}
	for i := range len(realm) {
		if b := realm[i]; b < ' ' || b > '~' || b == '"' || b == '\\' || b == ':' {
			return fmt.Errorf("byte %d is %q; printable ASCII without quote, backslash and colon is needed", i, b)
		}
	}
	return nil
}
