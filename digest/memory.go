package digest

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// lineages is how many of them each memory has places for: 128 KiB.
const lineages = 1 << 14

// memory remembers the latest of a fixed number of byte strings by their
// hashes, each in the one place that its hash gives it. A newer one may push
// an older one out, so it can forget and must not be relied on for more than
// its best effort. The hash is seeded: nobody can aim at a place. Only what a
// right password has come with is put in, so that others cannot flush it.
type memory struct {
	seed  maphash.Seed
	slots []atomic.Uint64
}

// newMemory rounds size up to a power of two.
func newMemory(size int) *memory {
	return &memory{seed: maphash.MakeSeed(), slots: make([]atomic.Uint64, 1<<bits.Len(uint(size-1)))}
}

func (m *memory) slot(b []byte) (*atomic.Uint64, uint64) {
	h := maphash.Bytes(m.seed, b)
	if h == 0 {
		h = 1 // zero is an empty place
	}
	return &m.slots[h&uint64(len(m.slots)-1)], h
}

func (m *memory) add(b []byte) {
	s, h := m.slot(b)
	s.Store(h)
}

func (m *memory) has(b []byte) bool {
	s, h := m.slot(b)
	return s.Load() == h
}
