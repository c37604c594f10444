package digest

import (
	"cmp"
	"crypto/subtle"
	"net/netip"
	"time"
)

// Request is what is known of a request. Verify overwrites Header.
type Request struct {
	// Client is the address of the client itself, not of a load balancer. IPv4 and its IPv6-mapped
	// form are the same; a zone is ignored.
	Client netip.Addr
	// Method is the request's method, in its case.
	Method []byte
	// Target is host:port for CONNECT and an absolute URL for all else. It is empty where it is not
	// known: then only Basic can be accepted.
	Target []byte
	// Header is the value of Proxy-Authorization, empty if there is none.
	Header []byte
}

// Result is the decision about a request.
type Result struct {
	// Reason is Accepted, or why the request is refused.
	Reason Reason
	// User is the name of the user whose password was shown, if Accepted.
	User string
	// Challenge is whether the client is to be asked for credentials. If it is not, a refusal says
	// nothing about them.
	Challenge bool
	// Stale is set if the password was right and only the nonce is not.
	Stale bool
	// Nonce is a fresh one, for the challenge.
	Nonce [nonceText]byte
	// Delay is how long to keep the decision, whatever it is, from the client: at most GuessDelay.
	// Nothing but the answer may wait for it.
	Delay time.Duration

	encoded string // User for the helper's answer
}

// Verify decides about a request. It does not block, and takes about a microsecond.
//
// The order of Digest's checks matters: what is cheap to see comes first; an address in debt is
// refused before its password is checked; all else is said only to a client that had the password.
func (v *Verifier) Verify(r *Request) (result Result) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now, client := v.now(), r.Client.Unmap()
	if rest, is := cutBasic(r.Header); is && v.basic {
		v.verifyBasic(&result, rest, client, now)
		return result
	}
	h, alg, reason := &v.header, MD5, NotBasic
	switch {
	case len(v.macs) > 0 && len(r.Target) > 0:
		v.target.set(r.Method, r.Target)
		if reason = h.parse(r.Header, &v.target); reason == Accepted {
			alg, reason = h.check(v.realm, v.sha256)
		}
	case len(r.Header) == 0:
		reason = NoCredentials
	}
	if reason != Accepted {
		v.refuse(&result, reason, client, nil, now)
		return result
	}

	user, known := v.user(h.username)
	ofNonce, recent, proof := v.checkNonce(h.nonce, client, user, now.Unix())
	wait := v.guesses.wait(client, now)
	exempt := wait > 0 && v.mayExempt(recent, user) && (proof || v.proven.has(v.lineage(user)))
	if wait > GuessDelay && !exempt {
		result.Reason = Throttled
		return result
	}
	if !exempt {
		result.Delay = wait
	}

	v.want = respond(v.want[:0], alg, user.ha1[alg], r.Method, h, &v.buf)
	right := subtle.ConstantTimeCompare(v.want, toLower(h.response)) == 1
	switch {
	case !right || !known:
		if exempt {
			// A guesser with somebody's nonce, or with a proof that came of it, gets no more out of
			// it on this task than this guess.
			v.spoiled.add(v.lineage(user))
		}
		v.refuse(&result, v.guessed(client, known, now), client, nil, now)
	case !v.target.namedBy(h.uri):
		v.refuse(&result, TargetMismatch, client, nil, now)
	case ofNonce != Accepted || wait > 0 && !(exempt && proof):
		// The new nonce is a proof if the old one was this client's own: a right response over any
		// other may have been captured anywhere, at any time, or answer a challenge of an attacker.
		if !v.mayExempt(recent, user) {
			user = nil
		}
		result.Stale = true
		v.refuse(&result, cmp.Or(ofNonce, ProofNeeded), client, user, now)
	default:
		if !proof {
			v.proven.add(v.lineage(user))
		}
		result.User, result.encoded = user.name, user.encoded
	}
	return result
}

// guessed books a wrong password or an unknown name and returns which it was.
func (v *Verifier) guessed(client netip.Addr, known bool, now time.Time) Reason {
	v.guesses.charge(client, now)
	if known {
		return WrongPassword
	}
	return UnknownUser
}

// refuse fills in a refusal with a challenge: with a proof for a user, or for anybody if nil.
func (v *Verifier) refuse(result *Result, reason Reason, client netip.Addr, proofFor *account, now time.Time) {
	result.Reason, result.Challenge = reason, true
	if len(v.macs) > 0 {
		v.makeNonce(&result.Nonce, client, proofFor, now.Unix())
	}
}
