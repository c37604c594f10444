package digest

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// Limits on guessing from one client address.
const (
	// GuessBurst is how many wrong passwords cost nothing.
	GuessBurst = 10
	// GuessDelay is the longest that a check waits. What would have to wait longer is refused
	// unchecked.
	GuessDelay = 5 * time.Second

	guessCost      = time.Second // of the first guesses; doubles every guessDoubling
	guessDoubling  = 16
	guessCostMax   = 32 * time.Second
	guessForgotten = 10 * time.Minute // without a guess and without debt: cost is as at first
	guessAddresses = 1 << 14          // 16,384 places of 32 bytes
	guessWays      = 8

	// guessDebtMax is the deepest debt. Guesses that wait their turn reach it, and those that are
	// exempt from waiting do not exceed it.
	guessDebtMax = GuessBurst*guessCost + GuessDelay + guessCostMax
)

// guesses keeps an account of wrong passwords by address. Each adds a cost in time, which grows,
// and time pays it off. Memory is fixed: an address has one of the eight places of its seeded hash.
// If all are taken, the least debt is forgotten. No address is ever charged for another.
type guesses struct {
	seed  maphash.Seed
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

// find returns an address's debt, or the place of the least that it may take. The key is the
// address, or the first half of an IPv6 address: a host chooses the second half itself.
func (g *guesses) find(client netip.Addr) (d *debt, key [16]byte) {
	key = client.As16()
	if !client.Is4() {
		clear(key[8:])
	}
	first := int(maphash.Bytes(g.seed, key[:])&uint64(len(g.debts)/guessWays-1)) * guessWays
	places := g.debts[first : first+guessWays]
	d = &places[0]
	for i := range places {
		p := &places[i]
		if p.until != 0 && p.key == key {
			return p, key
		}
		if p.until < d.until {
			d = p
		}
	}
	return d, key
}

// wait returns how long a check from this address has to wait for its answer. It may be longer than
// GuessDelay: then it must not be checked at all.
func (g *guesses) wait(client netip.Addr, now time.Time) time.Duration {
	d, key := g.find(client)
	if d.until == 0 || d.key != key {
		return 0
	}
	return max(0, time.Duration(d.until-now.UnixNano())-GuessBurst*guessCost)
}

// charge books a wrong password.
func (g *guesses) charge(client netip.Addr, now time.Time) {
	d, key := g.find(client)
	at := now.UnixNano()
	if d.key != key || d.until+int64(guessForgotten) < at {
		*d = debt{key: key}
	}
	cost := min(guessCost<<min(d.count/guessDoubling, 8), guessCostMax)
	d.count++
	d.until = min(max(d.until, at)+int64(cost), at+int64(guessDebtMax))
}

// lineages is how many of them a memory has places for: 128 KiB.
const lineages = 1 << 14

// memory remembers the latest byte strings by their hashes, each in the one place that its hash
// gives it. A newer one may push an older one out, so it must not be relied on for more than its
// best effort. The hash is seeded: nobody can aim at a place. Only what a right password has come
// with is put in, so that others cannot flush it.
type memory struct {
	seed  maphash.Seed
	slots [lineages]uint64
}

func newMemory() *memory { return &memory{seed: maphash.MakeSeed()} }

func (m *memory) slot(b []byte) (slot *uint64, h uint64) {
	h = max(1, maphash.Bytes(m.seed, b)) // zero is an empty place
	return &m.slots[h%lineages], h
}

func (m *memory) add(b []byte) {
	s, h := m.slot(b)
	*s = h
}

func (m *memory) has(b []byte) bool {
	s, h := m.slot(b)
	return *s == h
}
