package digest

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// guess sends wrong passwords until checks from the address have to wait.
func guess(t testing.TB, v *Verifier, client netip.Addr, times int) {
	t.Helper()
	for range times {
		a := newAttempt(nonceFor(t, v, client))
		a.client, a.password = client, "wrong"
		v.Verify(a.request())
	}
}

func TestGuessesAreDelayedAndThenRefusedUnchecked(t *testing.T) {
	v, clock := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	wrong := a
	wrong.password = "wrong"
	for i := range GuessBurst {
		if r := v.Verify(wrong.request()); r.Reason != WrongPassword || r.Delay != 0 {
			t.Fatalf("guess %d: %v, delay %v", i, r.Reason, r.Delay)
		}
	}
	for delay := time.Duration(0); delay <= GuessDelay; delay += time.Second {
		if r := v.Verify(wrong.request()); r.Reason != WrongPassword || r.Delay != delay {
			t.Fatalf("%v, delay %v, want %v", r.Reason, r.Delay, delay)
		}
	}
	// From now on right and wrong passwords look the same and cost nothing more.
	for _, again := range []attempt{wrong, a, wrong, a} {
		r := v.Verify(again.request())
		expect(t, r, Throttled)
		if r.Challenge || r.Stale || r.Delay != 0 {
			t.Errorf("challenge %v, stale %v, delay %v", r.Challenge, r.Stale, r.Delay)
		}
	}
	// The right password waits as long as the wrong one would, and gets a
	// nonce with which it need not wait again.
	clock.advance(2 * time.Second)
	r := v.Verify(a.request())
	expect(t, r, ProofNeeded)
	if r.Delay != 4*time.Second || !r.Stale {
		t.Fatalf("delay %v, stale %v", r.Delay, r.Stale)
	}
	a.nonce = string(r.Nonce[:])
	guess(t, v, testClient, 20)
	r = v.Verify(a.request())
	expect(t, r, Accepted)
	if r.Delay != 0 {
		t.Errorf("the proof waits %v", r.Delay)
	}
}

func TestGuessesGrowDearerAndAreForgottenAtLast(t *testing.T) {
	v, clock := newVerifier(t, nil)
	const hour = 3600
	accepted := 0 // guesses that were checked
	for range hour {
		a := newAttempt(nonceFor(t, v, testClient))
		a.password = "wrong"
		for range 50 {
			if v.Verify(a.request()).Reason == WrongPassword {
				accepted++
			}
		}
		clock.advance(time.Second)
	}
	// 16 at 1 s, 16 at 2 s, 16 at 4 s, … and then one in 32 s.
	if accepted < 150 || accepted > 200 {
		t.Errorf("%d guesses an hour", accepted)
	}

	clock.advance(guessForgotten + 2*time.Minute)
	a := newAttempt(nonceFor(t, v, testClient))
	a.password = "wrong"
	for range GuessBurst {
		if r := v.Verify(a.request()); r.Reason != WrongPassword || r.Delay != 0 {
			t.Fatalf("after a pause: %v, delay %v", r.Reason, r.Delay)
		}
	}
}

func TestGuessesDoNotTouchAnotherAddress(t *testing.T) {
	for _, c := range []struct {
		name, guesser, other string
		same                 bool
	}{
		{"IPv4 neighbours", "198.51.100.7", "198.51.100.8", false},
		{"IPv6, one /64", "2001:db8::1", "2001:db8::ffff:1", true},
		{"IPv6, two /64", "2001:db8::1", "2001:db8:0:1::1", false},
		{"IPv4 and its mapped form", "198.51.100.7", "::ffff:198.51.100.7", true},
	} {
		v, _ := newVerifier(t, nil)
		guess(t, v, netip.MustParseAddr(c.guesser), 100)
		other := netip.MustParseAddr(c.other)
		a := newAttempt(nonceFor(t, v, other))
		a.client = other
		want := Accepted
		if c.same {
			want = Throttled
		}
		if r := v.Verify(a.request()); r.Reason != want || r.Delay != 0 {
			t.Errorf("%s: %v, delay %v", c.name, r.Reason, r.Delay)
		}
	}
}

// A client that has used a task keeps working there beside an attacker behind
// the same NAT, and with a proof on every task.
func TestClientsThatHaveShownThePasswordAreExempt(t *testing.T) {
	v, clock := newVerifier(t, nil)
	another, _ := newVerifier(t, func(c *Config) { c.Now = clock.Now })
	worker := newAttempt(nonceFor(t, v, testClient))
	newcomer := newAttempt(nonceFor(t, v, testClient))
	expect(t, v.Verify(worker.request()), Accepted)

	guess(t, v, testClient, 1000)
	guess(t, another, testClient, 1000)
	expect(t, v.Verify(newcomer.request()), Throttled)
	expect(t, another.Verify(worker.request()), Throttled) // a newcomer to this task

	r := v.Verify(worker.request())
	expect(t, r, ProofNeeded)
	if r.Delay != 0 || !r.Stale {
		t.Fatalf("delay %v, stale %v", r.Delay, r.Stale)
	}
	worker.nonce = string(r.Nonce[:])
	for _, task := range []*Verifier{v, another} {
		expect(t, task.Verify(worker.request()), Accepted)
	}
	// A proof renews itself, on any task.
	clock.advance(DefaultNonceLife + time.Second)
	guess(t, another, testClient, 1000)
	r = another.Verify(worker.request())
	expect(t, r, NonceExpired)
	if r.Delay != 0 || !r.Stale {
		t.Fatalf("delay %v, stale %v", r.Delay, r.Stale)
	}
	worker.nonce = string(r.Nonce[:])
	expect(t, another.Verify(worker.request()), Accepted)
	// A wrong password shows nothing, though the nonce be a proof of another's.
	guess(t, v, testClient, 1000)
	expect(t, v.Verify(newcomer.request()), Throttled)
}

// What a client gets when it renews a nonce is a proof, without any guessing.
func TestARenewedNonceIsAProof(t *testing.T) {
	v, clock := newVerifier(t, nil)
	another, _ := newVerifier(t, func(c *Config) { c.Now = clock.Now })
	worker := newAttempt(nonceFor(t, v, testClient))
	expect(t, v.Verify(worker.request()), Accepted)
	clock.advance(DefaultNonceLife + time.Second)
	r := v.Verify(worker.request())
	expect(t, r, NonceExpired)
	worker.nonce = string(r.Nonce[:])
	guess(t, another, testClient, 1000)
	expect(t, another.Verify(worker.request()), Accepted)
}

// An exemption ends two lives after its nonce was made, whatever the nonce is.
func TestExemptionsEndWithAge(t *testing.T) {
	v, clock := newVerifier(t, nil)
	open := newAttempt(nonceFor(t, v, testClient))
	expect(t, v.Verify(open.request()), Accepted)
	guess(t, v, testClient, 100)
	r := v.Verify(open.request())
	expect(t, r, ProofNeeded)
	proof := open
	proof.nonce = string(r.Nonce[:])
	for _, c := range []struct {
		at   time.Duration
		want Reason
	}{
		{2 * DefaultNonceLife, NonceExpired},
		{2*DefaultNonceLife + time.Second, Throttled},
		{365 * 24 * time.Hour, Throttled},
		{-DefaultClockSkew - time.Second, Throttled}, // made in the future
	} {
		clock.now = testStart.Add(c.at)
		guess(t, v, testClient, 100)
		for name, a := range map[string]attempt{"open": open, "proof": proof} {
			if r := v.Verify(a.request()); r.Reason != c.want || r.Delay != 0 {
				t.Errorf("%s nonce, age %v: %v, delay %v; want %v", name, c.at, r.Reason, r.Delay, c.want)
			}
		}
	}
}

// A proof ends with the password, so that who had the old one cannot guess the new one with it.
func TestProofsEndWithThePassword(t *testing.T) {
	v, clock := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	guess(t, v, testClient, GuessBurst+2)
	r := v.Verify(a.request())
	expect(t, r, ProofNeeded)
	a.nonce = string(r.Nonce[:])
	expect(t, v.Verify(a.request()), Accepted)

	changed, _ := newVerifier(t, func(c *Config) {
		c.Now, c.Users = clock.Now, []User{{Name: "proxy", Password: "another password"}}
	})
	guess(t, changed, testClient, 100)
	expect(t, changed.Verify(a.request()), Throttled)
}

// A right response over a nonce that is not this client's own shows nothing at
// this address: it may have been captured at another one, or long ago, or be
// the answer to a challenge that an attacker made up.
func TestOnlyAClientsOwnNoncesLeadToProofs(t *testing.T) {
	own := func(v *Verifier) string { return nonceFor(t, v, testClient) }
	for name, c := range map[string]struct {
		nonce func(v *Verifier) string
		age   time.Duration
		proof bool
	}{
		"its own":               {own, 0, true},
		"its own, expired":      {own, 2 * DefaultNonceLife, true},
		"its own, long expired": {own, 2*DefaultNonceLife + time.Second, false},
		"its own, future":       {own, -DefaultClockSkew - time.Second, false},
		"another client's":      {func(v *Verifier) string { return nonceFor(t, v, testClient.Next()) }, 0, false},
		"forged":                {func(*Verifier) string { return strings.Repeat("A", nonceText) }, 0, false},
		"made up":               {func(*Verifier) string { return "x" }, 0, false},
	} {
		v, clock := newVerifier(t, nil)
		a := newAttempt(c.nonce(v))
		clock.advance(c.age)
		guess(t, v, testClient, GuessBurst+2) // a delay, but no refusal
		r := v.Verify(a.request())
		if !r.Challenge || !r.Stale {
			t.Fatalf("%s: %v, challenge %v, stale %v", name, r.Reason, r.Challenge, r.Stale)
		}
		a.nonce = string(r.Nonce[:])
		guess(t, v, testClient, 100)
		if got := v.Verify(a.request()).Reason == Accepted; got != c.proof {
			t.Errorf("%s: a proof is %v", name, got)
		}
	}
}

// Who has an account gains no exemption for guessing another's password.
func TestProofsBelongToOneUser(t *testing.T) {
	v, _ := newVerifier(t, func(c *Config) { c.Users = append(c.Users, User{Name: "victim", Password: "x"}) })
	insider := newAttempt(nonceFor(t, v, testClient))
	expect(t, v.Verify(insider.request()), Accepted)
	guess(t, v, testClient, 100)

	onVictim := insider
	onVictim.user, onVictim.password = "victim", "wrong"
	expect(t, v.Verify(onVictim.request()), Throttled) // with a nonce that has worked

	r := v.Verify(insider.request())
	expect(t, r, ProofNeeded)
	onVictim.nonce = string(r.Nonce[:])
	expect(t, v.Verify(onVictim.request()), Throttled) // with a proof
	onVictim.password = "x"
	expect(t, v.Verify(onVictim.request()), Throttled)
}

// Nor does a nonce that worked for one client do so for another.
func TestExemptionsBelongToOneAddress(t *testing.T) {
	v, clock := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	expect(t, v.Verify(a.request()), Accepted)
	captured := a
	captured.client = testClient.Next()
	guess(t, v, captured.client, 100)
	expect(t, v.Verify(captured.request()), Throttled)

	// For its own client it does even when it is too old: that gets a proof for it.
	clock.advance(DefaultNonceLife + time.Second)
	guess(t, v, testClient, 100)
	r := v.Verify(a.request())
	expect(t, r, NonceExpired)
	if r.Delay != 0 || !r.Stale {
		t.Errorf("delay %v, stale %v", r.Delay, r.Stale)
	}
}

// A wrong password ends the exemption of the nonce that it is sent under, here,
// and of every other nonce of its lineage: a captured header brings forth as
// many proofs as anybody likes, but no more than one guess.
func TestWrongPasswordEndsANoncesExemption(t *testing.T) {
	for _, under := range []string{"an open nonce", "a proof", "a renewed proof"} {
		v, clock := newVerifier(t, nil)
		a := newAttempt(nonceFor(t, v, testClient))
		captured := a
		expect(t, v.Verify(a.request()), Accepted)
		guess(t, v, testClient, 100)
		renew := func(want Reason) {
			r := v.Verify(a.request())
			expect(t, r, want)
			a.nonce = string(r.Nonce[:])
			clock.advance(time.Second)
		}
		if under != "an open nonce" {
			renew(ProofNeeded)
		}
		if under == "a renewed proof" {
			clock.advance(DefaultNonceLife)
			guess(t, v, testClient, 100)
			renew(NonceExpired)
		}
		wrong := a
		wrong.password = "wrong"
		expect(t, v.Verify(wrong.request()), WrongPassword)
		for name, next := range map[string]attempt{"wrong": wrong, "right": a, "captured": captured} {
			if r := v.Verify(next.request()); r.Reason != Throttled {
				t.Errorf("under %s, %s: %v", under, name, r.Reason)
			}
		}

		// When it is its turn it is answered, but with an open nonce, which exempts from nothing.
		for v.guesses.wait(testClient, clock.now) > time.Second {
			clock.advance(time.Second)
		}
		r := v.Verify(a.request())
		expect(t, r, ProofNeeded)
		open := a
		open.nonce = string(r.Nonce[:])
		guess(t, v, testClient, 100)
		expect(t, v.Verify(open.request()), Throttled)
		for v.guesses.wait(testClient, clock.now) > time.Second {
			clock.advance(time.Second)
		}
		r = v.Verify(open.request())
		expect(t, r, ProofNeeded)
		open.nonce = string(r.Nonce[:])
		guess(t, v, testClient, 100)
		expect(t, v.Verify(open.request()), Accepted)
	}
}

// Unknown names are guesses as well.
func TestGuessingNamesIsThrottled(t *testing.T) {
	v, _ := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	ghost := a
	ghost.user = "ghost"
	for range GuessBurst + 6 {
		expect(t, v.Verify(ghost.request()), UnknownUser)
	}
	expect(t, v.Verify(ghost.request()), Throttled)
	expect(t, v.Verify(a.request()), Throttled)
}

// Exempt guesses bring an address no deeper into debt than others do, so that
// its other clients wait a minute and not for days.
func TestDebtIsBounded(t *testing.T) {
	v, clock := newVerifier(t, nil)
	for range 1000 { // each with an exemption of its own
		a := newAttempt(nonceFor(t, v, testClient))
		v.proven.add(append(mustDecode(t, a.nonce)[nonceKin:nonceHead], "proxy"...))
		a.password = "wrong"
		expect(t, v.Verify(a.request()), WrongPassword)
	}
	newcomer := newAttempt(nonceFor(t, v, testClient))
	expect(t, v.Verify(newcomer.request()), Throttled)
	clock.advance(guessCostMax)
	r := v.Verify(newcomer.request())
	expect(t, r, ProofNeeded)
	if r.Delay != GuessDelay {
		t.Errorf("delay %v", r.Delay)
	}
}

func mustDecode(t testing.TB, nonce string) []byte {
	t.Helper()
	raw, err := nonceEncoding.DecodeString(nonce)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestGuessesForgetTheLeastDebtWhenFull(t *testing.T) {
	g := newGuesses(guessWays) // one set: every address competes
	address := func(i int) netip.Addr {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i))
		return netip.AddrFrom4(b)
	}
	heavy := address(1 << 30)
	for range 30 {
		g.charge(heavy, testStart)
	}
	want := g.wait(heavy, testStart)
	if want == 0 {
		t.Fatal("no debt")
	}
	for i := range 10_000 {
		g.charge(address(i), testStart)
	}
	if got := g.wait(heavy, testStart); got != want {
		t.Errorf("the greatest debt went from %v to %v", want, got)
	}
	if len(g.debts) != guessWays {
		t.Errorf("%d places", len(g.debts))
	}
	for i := range 10_000 { // nobody was charged for anybody else
		if w := g.wait(address(i), testStart); w != 0 {
			t.Fatalf("%v waits %v after one guess", address(i), w)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(100)
	if len(m.slots) != 128 {
		t.Fatalf("%d places for 100", len(m.slots))
	}
	var b [4]byte
	kept := 0
	for i := range 10_000 {
		binary.BigEndian.PutUint32(b[:], uint32(i))
		if m.has(b[:]) {
			t.Fatalf("%d is known", i)
		}
		m.add(b[:])
		if !m.has(b[:]) {
			t.Fatalf("%d is not known", i)
		}
	}
	for i := range 10_000 {
		binary.BigEndian.PutUint32(b[:], uint32(i))
		if m.has(b[:]) {
			kept++
		}
	}
	if kept < 64 || kept > 128 {
		t.Errorf("%d kept", kept)
	}
	if got := len(newMemory(1).slots); got != 1 {
		t.Errorf("%d places for 1", got)
	}
}
