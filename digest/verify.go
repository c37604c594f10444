package digest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"net/netip"
	"time"
)

// Request is what is known of a request. The slices must stay as they are
// during the call, but for Header, which the call overwrites.
type Request struct {
	// Client is the address of the client itself, not of a load balancer.
	// IPv4 and its IPv6-mapped form are the same; a zone is ignored.
	Client netip.Addr
	// Method is the request's method, in its case.
	Method []byte
	// Target is host:port for CONNECT and an absolute URL for all else.
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
	// Challenge tells whether the client is to be asked for credentials. If it
	// is not, a refusal says nothing about them.
	Challenge bool
	// Stale tells that the password was right and only the nonce is not.
	Stale bool
	// Nonce is a fresh one, for the challenge.
	Nonce [nonceText]byte
	// Delay is how long to keep the decision, whatever it is, from the client:
	// at most GuessDelay. Nothing but the answer may wait for it.
	Delay time.Duration

	encoded []byte // User for the helper's answer
}

// Verify decides about a request. It does not block, and takes about a
// microsecond.
func (v *Verifier) Verify(r *Request) Result {
	c := v.checkers.Get().(*checker)
	defer v.checkers.Put(c)
	var result Result
	c.check(r, &result)
	return result
}

// checker holds what one check after another can use again, so that none of
// them allocates. It serves one goroutine at a time.
type checker struct {
	v      *Verifier
	macs   []hash.Hash
	target target
	header header
	raw    [nonceRaw]byte
	buf    []byte
	sum    []byte
	want   []byte
}

func (v *Verifier) newChecker() *checker {
	c := &checker{v: v}
	for _, key := range v.keys {
		c.macs = append(c.macs, hmac.New(sha256.New, key))
	}
	return c
}

// check fills the result in. The order matters: what is cheap to see comes first;
// an address in debt is refused before its password is checked; all else is told
// only to a client that had the password.
func (c *checker) check(r *Request, result *Result) {
	v := c.v
	now := v.now()
	seconds := now.Unix()
	client := r.Client.Unmap()
	*result = Result{}

	h := &c.header
	c.target.set(r.Method, r.Target)
	reason := h.parse(r.Header, &c.target)
	var alg Algorithm
	if reason == Accepted {
		alg, reason = h.check(v.realm, v.sha256)
	}
	if reason != Accepted {
		c.refuse(result, reason, client, seconds)
		return
	}

	user, known := v.users[string(h.username)]
	if !known {
		user = v.nobody
	}
	state, proof := c.checkNonce(h.nonce, client, user, seconds)
	wait := v.guesses.wait(client, now)
	exempt := wait > 0 && c.mayExempt(state, user) && (proof || v.proven.has(c.lineage(user)))
	if wait > GuessDelay && !exempt {
		result.Reason = Throttled
		return
	}
	if !exempt {
		result.Delay = wait
	}

	c.want = v.respond(c.want[:0], alg, user.ha1(alg), r.Method, h, &c.buf)
	right := subtle.ConstantTimeCompare(c.want, toLower(h.response)) == 1
	if !right || !known {
		v.guesses.charge(client, now)
		if exempt {
			// A guesser with somebody's nonce, or with a proof that came of
			// it, gets no more out of it on this task than this guess.
			v.spoiled.add(c.lineage(user))
		}
		reason = WrongPassword
		if !known {
			reason = UnknownUser
		}
		c.refuse(result, reason, client, seconds)
		return
	}

	switch {
	case !c.target.namedBy(h.uri):
		c.refuse(result, TargetMismatch, client, seconds)
	case state != nonceValid:
		c.refuseStale(result, staleReasons[state], state, client, user, seconds)
	case wait > 0 && !(exempt && proof):
		c.refuseStale(result, ProofNeeded, state, client, user, seconds)
	default:
		if !proof {
			v.proven.add(c.lineage(user))
		}
		result.User, result.encoded = user.name, user.encoded
	}
}

// refuse fills a refusal in, with a challenge that anybody may have.
func (c *checker) refuse(result *Result, reason Reason, client netip.Addr, seconds int64) {
	result.Reason, result.Challenge = reason, true
	c.makeNonce(&result.Nonce, client, nil, seconds)
}

// staleReasons say what is wrong with a nonce.
var staleReasons = [...]Reason{
	nonceForeign: NonceForeign, nonceFuture: NonceFuture, nonceOld: NonceExpired, nonceExpired: NonceExpired,
}

// refuseStale fills in the refusal of a right response. The new nonce is a proof
// if the old one was this client's own: a right response over any other may have
// been captured anywhere, at any time, or answer a challenge of an attacker.
func (c *checker) refuseStale(
	result *Result, reason Reason, state nonceState, client netip.Addr, user *account, seconds int64,
) {
	result.Reason, result.Challenge, result.Stale = reason, true, true
	if !c.mayExempt(state, user) {
		user = nil
	}
	c.makeNonce(&result.Nonce, client, user, seconds)
}

func toLower(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}
