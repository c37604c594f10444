package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"squidfleet/params"
)

// Rotation is a finished rotation of one address.
type Rotation struct {
	Number int
	// Began is when the new task was started, Serving when it was in service and the old one began
	// to be deregistered, Ended when the old one was gone.
	Began, Serving, Ended time.Time
	// Old and New are the egress addresses before and after. Old is invalid if there was none.
	Old, New netip.Addr
}

// Rotate replaces the tasks of some addresses at the same time, or of all if none is given. It
// returns when the old tasks are gone. The error says of each address that kept its task why it
// did. If ctx ends while new tasks start, Rotate gives them up; later ctx has no effect.
func (f *Fleet) Rotate(ctx context.Context, numbers ...int) ([]Rotation, error) {
	if len(numbers) == 0 {
		for _, s := range f.services {
			numbers = append(numbers, s.number)
		}
	}
	done, errs := make([]Rotation, len(numbers)), make([]error, len(numbers))
	var group sync.WaitGroup
	for i, number := range numbers {
		group.Go(func() { done[i], errs[i] = f.rotate(ctx, number) })
	}
	group.Wait()
	return done, errors.Join(errs...)
}

func (f *Fleet) rotate(ctx context.Context, number int) (Rotation, error) {
	r := Rotation{Number: number}
	s, err := f.service(number)
	if err != nil {
		return r, err
	}
	leaveOut := func(why string) (Rotation, error) {
		f.report(RotationLeftOut, s, nil, why)
		return r, fmt.Errorf("rotate address %d: %s", number, why)
	}
	if !s.rotating.CompareAndSwap(false, true) {
		return leaveOut("the last one is not over")
	}
	defer s.rotating.Store(false)
	s.deploying.Lock()
	if s.stopped.Load() {
		s.deploying.Unlock()
		return leaveOut("the address is stopped")
	}
	r.Began = time.Now()
	f.report(RotationBegan, s, nil, "")
	old := f.current(s)
	fresh, err := f.launch(ctx, s)
	if err != nil {
		s.deploying.Unlock()
		f.report(RotationFailed, s, nil, err.Error())
		return r, fmt.Errorf("rotate address %d: %w", number, err)
	}
	r.New, r.Serving = fresh.Address, time.Now()
	draining := old != nil && f.beginDrain(old)
	s.deploying.Unlock()
	if draining {
		r.Old = old.Address
		f.finishDrain(old)
	}
	if err := f.ctx.Err(); err != nil {
		return r, fmt.Errorf("rotate address %d: the fleet was closed: %w", number, err)
	}
	r.Ended = time.Now()
	f.report(RotationEnded, s, nil, fmt.Sprintf("after %v", r.Ended.Sub(r.Began).Round(10*time.Millisecond)))
	return r, nil
}

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
