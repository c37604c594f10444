package params_test

import (
	"slices"
	"testing"
	"time"

	"squidfleet/params"
)

// TestRotationsAreSpread: in a fleet of any size no two addresses are much nearer to each other
// than an even spread would have them.
func TestRotationsAreSpread(t *testing.T) {
	for size := 1; size <= 100; size++ {
		var offsets []time.Duration
		for number := 1; number <= size; number++ {
			offsets = append(offsets, params.RotationOffset(number, time.Hour))
		}
		slices.Sort(offsets)
		for i, offset := range offsets {
			next := time.Hour // the next period begins with the first address
			if i+1 < size {
				next = offsets[i+1]
			}
			if gap, even := next-offset, time.Hour/time.Duration(size); gap <= even/2 || gap >= 2*even {
				t.Errorf("%d addresses: %v is followed by %v", size, offset, next)
			}
		}
	}
}

func TestNextRotation(t *testing.T) {
	for _, c := range []struct {
		number    int
		every     time.Duration
		now, want string
	}{
		{1, time.Hour, "2026-11-26T17:59:59Z", "2026-11-26T18:00:00Z"},
		{1, time.Hour, "2026-11-26T18:00:00Z", "2026-11-26T19:00:00Z"},
		{2, time.Hour, "2026-11-26T18:00:00Z", "2026-11-26T18:30:00Z"},
		{5, 12 * time.Minute, "2026-11-26T18:00:30Z", "2026-11-26T18:01:00Z"}, // 90 s, in whole minutes
		{3, 24 * time.Hour, "2026-11-26T18:00:00Z", "2026-11-27T06:00:00Z"},
		{1, 7 * 24 * time.Hour, "2026-11-26T18:00:00Z", "2026-11-30T00:00:00Z"}, // Monday
		{2, 7 * 24 * time.Hour, "2026-11-26T12:30:00+01:00", "2026-11-26T12:00:00Z"},
	} {
		now, _ := time.Parse(time.RFC3339, c.now)
		if got := params.NextRotation(c.number, c.every, now).Format(time.RFC3339); got != c.want {
			t.Errorf("address %d every %v after %s: %s, want %s", c.number, c.every, c.now, got, c.want)
		}
	}
}
