package digest

import (
	"encoding/binary"
	"net/netip"
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

// A client that already works keeps working beside an attacker behind the same NAT.
func TestClientsThatHaveShownThePasswordAreExempt(t *testing.T) {
	v, clock := newVerifier(t, nil)
	another, _ := newVerifier(t, func(c *Config) { c.Now = clock.Now })
	worker := newAttempt(nonceFor(t, v, testClient))
	newcomer := newAttempt(nonceFor(t, v, testClient))
	expect(t, v.Verify(worker.request()), Accepted)

	guess(t, v, testClient, 1000)
	guess(t, another, testClient, 1000)
	expect(t, v.Verify(newcomer.request()), Throttled)

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

// Guessing with a captured nonce that worked loses it its exemption here.
func TestWrongPasswordEndsANoncesExemption(t *testing.T) {
	v, _ := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	expect(t, v.Verify(a.request()), Accepted)
	guess(t, v, testClient, 100)
	wrong := a
	wrong.password = "wrong"
	expect(t, v.Verify(wrong.request()), WrongPassword)
	expect(t, v.Verify(wrong.request()), Throttled)
	expect(t, v.Verify(a.request()), Throttled)
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
		if m.add(b[:]) {
			t.Fatalf("%d is known", i)
		}
		if !m.add(b[:]) || !m.has(b[:]) {
			t.Fatalf("%d is not known", i)
		}
	}
	for i := range 10_000 {
		binary.BigEndian.PutUint32(b[:], uint32(i))
		if m.has(b[:]) {
			kept++
			m.remove(b[:])
			if m.has(b[:]) {
				t.Fatalf("%d is not removed", i)
			}
		}
	}
	if kept < 64 || kept > 128 {
		t.Errorf("%d kept", kept)
	}
	if got := len(newMemory(1).slots); got != 1 {
		t.Errorf("%d places for 1", got)
	}
}
