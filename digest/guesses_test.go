package digest

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func guess(t testing.TB, v *Verifier, client netip.Addr, times int) {
	t.Helper()
	for range times {
		a := newAttempt(nonceFor(t, v, client)).wrong()
		a.client = client
		v.Verify(a.request())
	}
}

// An address has one account, whichever scheme its guesses use, and whether or not there is such a
// user.
func TestGuessesAreDelayedAndThenRefusedUnchecked(t *testing.T) {
	v, clock := newBasic(t, testKey)
	a := newAttempt(nonceFor(t, v, testClient))
	ghost := a
	ghost.user = "ghost"
	basic := func(text string) func() *Request {
		return func() *Request { return basicRequest(basicHeader(text)) }
	}
	right := basic("proxy:" + testPassword)
	guesses := []func() *Request{a.wrong().request, ghost.request, basic("proxy:wrong"), basic("ghost:x")}
	for i := range GuessBurst + 6 {
		want, reason := max(0, time.Duration(i-GuessBurst)*time.Second), WrongPassword
		if i%2 == 1 {
			reason = UnknownUser
		}
		if r := v.Verify(guesses[i%4]()); r.Reason != reason || r.Delay != want {
			t.Fatalf("guess %d: %v, delay %v, want %v", i, r.Reason, r.Delay, want)
		}
	}
	// From now on right and wrong passwords look the same and cost nothing more.
	for i, again := range append(guesses, a.request, right) {
		if r := v.Verify(again()); r.Reason != Throttled || r.Challenge || r.Stale || r.Delay != 0 {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if r := v.Verify(basicRequest("Basic !")); r.Reason != HeaderMalformed {
		t.Errorf("what is no guess: %v", r.Reason)
	}
	// The right password waits as long as the wrong one would. By Digest it gets a nonce with which
	// it need not wait again.
	clock.advance(2 * time.Second)
	if r := v.Verify(right()); r.Reason != Accepted || r.Delay != 4*time.Second {
		t.Errorf("by Basic: %v, delay %v", r.Reason, r.Delay)
	}
	if r := a.renew(t, v, ProofNeeded); r.Delay != 4*time.Second {
		t.Fatalf("delay %v", r.Delay)
	}
	guess(t, v, testClient, 20)
	if r := a.expect(t, v, Accepted); r.Delay != 0 {
		t.Errorf("the proof waits %v", r.Delay)
	}
}

func TestGuessesGrowDearerAndAreForgottenAtLast(t *testing.T) {
	v, clock, a := newVerifier(t, nil)
	checked := 0
	for range 3600 {
		for range 5 {
			if v.Verify(a.wrong().request()).Reason == WrongPassword {
				checked++
			}
		}
		clock.advance(time.Second)
	}
	// 16 at 1 s, 16 at 2 s, 16 at 4 s, … and then one in 32 s.
	if checked < 150 || checked > 200 {
		t.Errorf("%d guesses an hour", checked)
	}
	clock.advance(guessForgotten + 2*time.Minute)
	a.nonce = nonceFor(t, v, testClient)
	for range GuessBurst {
		if r := a.wrong().expect(t, v, WrongPassword); r.Delay != 0 {
			t.Fatalf("after a pause: delay %v", r.Delay)
		}
	}
}

func TestGuessesDoNotTouchAnotherAddress(t *testing.T) {
	for _, c := range []struct {
		name, guesser, other string
		want                 Reason
	}{
		{"IPv4 neighbours", "198.51.100.7", "198.51.100.8", Accepted},
		{"IPv6, one /64", "2001:db8::1", "2001:db8::ffff:1", Throttled},
		{"IPv6, two /64", "2001:db8::1", "2001:db8:0:1::1", Accepted},
		{"IPv4 and its mapped form", "198.51.100.7", "::ffff:198.51.100.7", Throttled},
	} {
		v, _, a := newVerifier(t, nil)
		guess(t, v, netip.MustParseAddr(c.guesser), 100)
		a.client = netip.MustParseAddr(c.other)
		a.nonce = nonceFor(t, v, a.client)
		if r := v.Verify(a.request()); r.Reason != c.want || r.Delay != 0 {
			t.Errorf("%s: %v, delay %v", c.name, r.Reason, r.Delay)
		}
	}
}

// A client that has used a task keeps working there beside an attacker behind the same NAT, and
// with a proof on every task.
func TestClientsThatHaveShownThePasswordAreExempt(t *testing.T) {
	v, clock, worker := newVerifier(t, nil)
	another, _, _ := newVerifier(t, func(c *config) { c.now = clock.Now })
	newcomer := newAttempt(nonceFor(t, v, testClient))
	worker.expect(t, v, Accepted)

	guess(t, v, testClient, 1000)
	guess(t, another, testClient, 1000)
	newcomer.expect(t, v, Throttled)
	worker.expect(t, another, Throttled) // a newcomer to this task
	if r := worker.renew(t, v, ProofNeeded); r.Delay != 0 {
		t.Fatalf("delay %v", r.Delay)
	}
	worker.expect(t, v, Accepted)
	worker.expect(t, another, Accepted)
	// A proof renews itself, on any task.
	clock.advance(nonceLife + time.Second)
	guess(t, another, testClient, 1000)
	if r := worker.renew(t, another, NonceExpired); r.Delay != 0 {
		t.Fatalf("delay %v", r.Delay)
	}
	worker.expect(t, another, Accepted)
}

// An exemption ends two lives after its nonce was made, whatever the nonce is.
func TestExemptionsEndWithAge(t *testing.T) {
	v, clock, open := newVerifier(t, nil)
	open.expect(t, v, Accepted)
	guess(t, v, testClient, 100)
	proof := open
	proof.renew(t, v, ProofNeeded)
	for at, want := range map[time.Duration]Reason{
		2 * nonceLife: NonceExpired, 2*nonceLife + time.Second: Throttled, 365 * 24 * time.Hour: Throttled,
		-clockSkew - time.Second: Throttled, // made in the future
	} {
		clock.now = testStart.Add(at)
		v.guesses = newGuesses(guessWays)
		guess(t, v, testClient, 100)
		for _, a := range []attempt{open, proof} {
			if r := a.expect(t, v, want); r.Delay != 0 {
				t.Errorf("age %v: delay %v", at, r.Delay)
			}
		}
	}
}

// A right response over another's nonce shows nothing at this address: it may have been captured,
// now or long ago, or answer a challenge that an attacker made up.
func TestOnlyAClientsOwnNoncesLeadToProofs(t *testing.T) {
	for name, c := range map[string]struct {
		nonce string // its own if empty, another client's if "another"
		age   time.Duration
		want  Reason
	}{
		"its own":               {"", 0, Accepted},
		"its own, expired":      {"", 2 * nonceLife, Accepted},
		"its own, long expired": {"", 2*nonceLife + time.Second, Throttled},
		"its own, future":       {"", -clockSkew - time.Second, Throttled},
		"another client's":      {"another", 0, Throttled},
		"forged":                {strings.Repeat("A", nonceText), 0, Throttled},
		"made up":               {"x", 0, Throttled},
	} {
		v, clock, a := newVerifier(t, nil)
		switch c.nonce {
		case "":
		case "another":
			a.nonce = nonceFor(t, v, testClient.Next())
		default:
			a.nonce = c.nonce
		}
		clock.advance(c.age)
		guess(t, v, testClient, GuessBurst+2) // a delay, but no refusal
		r := v.Verify(a.request())
		if !r.Challenge || !r.Stale {
			t.Fatalf("%s: %v, challenge %v, stale %v", name, r.Reason, r.Challenge, r.Stale)
		}
		a.nonce = string(r.Nonce[:])
		guess(t, v, testClient, 100)
		if got := v.Verify(a.request()).Reason; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Somebody with an account gains no exemption for guessing another's password, nor does another
// client. A proof ends with the password, so that nobody can guess the new one with it.
func TestExemptionsBelongToOneUserAddressAndPassword(t *testing.T) {
	v, _, insider := newVerifier(t, func(c *config) { c.users["victim"] = "x" })
	insider.expect(t, v, Accepted)
	for _, client := range []netip.Addr{testClient, testClient.Next()} {
		guess(t, v, client, 100)
	}
	captured, onVictim := insider, insider
	captured.client = testClient.Next()
	captured.expect(t, v, Throttled)
	onVictim.user, onVictim.password = "victim", "x"
	onVictim.expect(t, v, Throttled) // with a nonce that has worked
	insider.renew(t, v, ProofNeeded)
	onVictim.nonce = insider.nonce
	onVictim.expect(t, v, Throttled) // with a proof
	onVictim.wrong().expect(t, v, Throttled)

	changed, _, _ := newVerifier(t, func(c *config) { c.users["proxy"] = "new" })
	guess(t, changed, testClient, 100)
	insider.expect(t, changed, Throttled)
}

// A wrong password ends the exemption of all nonces of a lineage, here: a captured header brings
// forth as many proofs as anybody likes, but no more than one guess.
func TestWrongPasswordEndsANoncesExemption(t *testing.T) {
	for _, under := range []string{"an open nonce", "a proof", "a renewed proof"} {
		v, clock, a := newVerifier(t, nil)
		captured := a
		a.expect(t, v, Accepted)
		guess(t, v, testClient, 100)
		if under != "an open nonce" {
			a.renew(t, v, ProofNeeded)
			clock.advance(time.Second)
		}
		if under == "a renewed proof" {
			clock.advance(nonceLife)
			guess(t, v, testClient, 100)
			a.renew(t, v, NonceExpired)
			clock.advance(time.Second)
		}
		a.wrong().expect(t, v, WrongPassword)
		for name, next := range map[string]attempt{"wrong": a.wrong(), "right": a, "captured": captured} {
			if r := v.Verify(next.request()); r.Reason != Throttled {
				t.Errorf("under %s, %s: %v", under, name, r.Reason)
			}
		}

		// When it is its turn it is answered, but with an open nonce, which exempts from nothing.
		for _, want := range []Reason{Throttled, Accepted} {
			for v.guesses.wait(testClient, clock.now) > time.Second {
				clock.advance(time.Second)
			}
			a.renew(t, v, ProofNeeded)
			guess(t, v, testClient, 100)
			a.expect(t, v, want)
		}
	}
}

// Exempt guesses bring an address no deeper into debt than others do, so that its other clients
// wait a minute and not for days.
func TestDebtIsBounded(t *testing.T) {
	v, clock, newcomer := newVerifier(t, nil)
	for range 1000 { // each with an exemption of its own
		a := newAttempt(nonceFor(t, v, testClient))
		v.proven.add(v.lineage(v.users["proxy"]))
		a.wrong().expect(t, v, WrongPassword)
	}
	newcomer.expect(t, v, Throttled)
	clock.advance(guessCostMax)
	if r := newcomer.expect(t, v, ProofNeeded); r.Delay != GuessDelay {
		t.Errorf("delay %v", r.Delay)
	}
}

func TestGuessesForgetTheLeastDebtWhenFull(t *testing.T) {
	g := newGuesses(guessWays) // one set: every address competes
	address := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
	heavy := address(1 << 30)
	for range 30 {
		g.charge(heavy, testStart)
	}
	want := g.wait(heavy, testStart)
	for i := range 10_000 {
		g.charge(address(i), testStart)
	}
	if got := g.wait(heavy, testStart); got != want || want == 0 {
		t.Errorf("the greatest debt went from %v to %v", want, got)
	}
	for i := range 10_000 { // nobody was charged for anybody else
		if w := g.wait(address(i), testStart); w != 0 {
			t.Fatalf("%v waits %v after one guess", address(i), w)
		}
	}
	g = newGuesses(guessWays)
	for i := range guessWays * 30 {
		g.charge(address(i%guessWays), testStart)
	}
	if w := g.wait(address(guessWays), testStart); w != 0 {
		t.Errorf("an address waits %v without a guess, because all places are taken", w)
	}
}

func TestMemoryKeepsTheLatest(t *testing.T) {
	m := newMemory()
	value := func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }
	for i := range 10 * lineages {
		if m.has(value(i)) {
			t.Fatalf("%d is known", i)
		}
		if m.add(value(i)); !m.has(value(i)) {
			t.Fatalf("%d is not known", i)
		}
	}
	kept := 0
	for i := range 10 * lineages {
		if m.has(value(i)) {
			kept++
		}
	}
	if kept < lineages/2 || kept > lineages {
		t.Errorf("%d of %d places in use", kept, lineages)
	}
}
