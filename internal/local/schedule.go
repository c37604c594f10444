package local

import (
	"time"

	"squidfleet/params"
)

// Schedule rotates each address every so often, at its own offset in a period that begins now. It
// returns at once, and is called once. It ends with Close.
func (f *Fleet) Schedule(every time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return
	}
	f.every, f.scheduled = every, time.Now()
	for _, s := range f.services {
		f.group.Go(func() {
			for {
				select {
				case <-time.After(time.Until(f.next(s, time.Now()))):
				case <-f.ctx.Done():
					return
				}
				// Its events say how it went.
				f.group.Go(func() { f.Rotate(f.ctx, s.number) })
			}
		})
	}
}

// next is the schedule's first rotation of an address after now.
func (f *Fleet) next(s *service, now time.Time) time.Time {
	at := f.scheduled.Add(params.RotationOffset(s.number, f.every))
	if !at.After(now) {
		at = at.Add((now.Sub(at)/f.every + 1) * f.every)
	}
	return at
}
