package digest

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Limits on guessing from one client address.
const (
	// GuessBurst is how many wrong passwords cost nothing.
	GuessBurst = 10
	// GuessDelay is the longest that a check waits. What would have to wait
	// longer is refused unchecked.
	GuessDelay = 5 * time.Second

	guessCost      = time.Second // of the first guesses; doubles every guessDoubling
	guessDoubling  = 16
	guessCostMax   = 32 * time.Second
	guessForgotten = 10 * time.Minute // without a guess and without debt: cost is as at first
	guessAddresses = 1 << 14          // 16,384 places of 32 bytes
	guessWays      = 8

	// guessDebtMax is the deepest debt. Guesses that wait their turn reach it, and
	// those that are exempt from waiting do not exceed it.
	guessDebtMax = GuessBurst*guessCost + GuessDelay + guessCostMax
)

// guesses keeps an account of wrong passwords by address. Each adds a cost in
// time, which grows, and time pays it off. Memory is fixed: an address has one of
// the eight places of its seeded hash. If all are taken, the least debt is
// forgotten. No address is ever charged for another.
type guesses struct {
	seed  maphash.Seed
	mu    sync.Mutex
	debts []debt
}

type debt struct {
	key   [16]byte
	until int64 // Unix nanoseconds at which all is paid off; 0: empty place
	count int64 // wrong passwords since the address was forgotten
}

func newGuesses(places int) *guesses {
	return &guesses{seed: maphash.MakeSeed(), debts: make([]debt, places)}
}

// guessKey is the address, or the first half of an IPv6 address: a host chooses
// the second half itself.
func guessKey(a netip.Addr) [16]byte {
	key := a.As16()
	if !a.Is4() {
		clear(key[8:])
	}
	return key
}

// places returns where an address's debt can be.
func (g *guesses) places(key *[16]byte) []debt {
	h := int(maphash.Bytes(g.seed, key[:]) & uint64(len(g.debts)/guessWays-1))
	return g.debts[h*guessWays : (h+1)*guessWays]
}

// wait tells how long a check from this address has to wait for its answer. It
// may be longer than GuessDelay: then it must not be checked at all.
func (g *guesses) wait(client netip.Addr, now time.Time) time.Duration {
	key := guessKey(client)
	g.mu.Lock()
	defer g.mu.Unlock()
	places := g.places(&key)
	for i := range places {
		if d := &places[i]; d.until != 0 && d.key == key {
			return max(0, time.Duration(d.until-now.UnixNano())-GuessBurst*guessCost)
		}
	}
	return 0
}

// charge books a wrong password.
func (g *guesses) charge(client netip.Addr, now time.Time) {
	key, at := guessKey(client), now.UnixNano()
	g.mu.Lock()
	defer g.mu.Unlock()
	places := g.places(&key)
	d := &places[0]
	for i := range places {
		if p := &places[i]; p.until != 0 && p.key == key {
			d = p
			break
		} else if p.until < d.until {
			d = p
		}
	}
	if d.key != key || d.until+int64(guessForgotten) < at {
		*d = debt{key: key}
	}
	cost := min(guessCost<<min(d.count/guessDoubling, 8), guessCostMax)
	d.count++
	d.until = min(max(d.until, at)+int64(cost), at+int64(guessDebtMax))
}
