package nlb

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// State is a target's health status in AWS's words.
type State string

// The states of a target (Guide, "Target health status").
const (
	// Initial: registered, and its first checks are not done yet.
	Initial State = "initial"
	// Healthy: it passed enough checks in a row.
	Healthy State = "healthy"
	// Unhealthy: it failed enough checks in a row.
	Unhealthy State = "unhealthy"
	// Draining: deregistered, and the deregistration delay is not over.
	Draining State = "draining"
	// Unused: deregistered, and the delay is over; or not known at all.
	Unused State = "unused"
)

// Target is an address to which connections go.
type Target struct {
	// ID names the target in Deregister and Targets.
	ID string
	// Addr is where the target listens.
	Addr netip.AddrPort
}

// TargetHealth is a target and its numbers at one moment.
type TargetHealth struct {
	Target
	// State is what AWS's DescribeTargetHealth would answer.
	State State
	// Failure says why the last check failed; empty after one that passed.
	Failure string
	// Open counts connections now, also those still connecting to the target.
	Open int
	// ConnectFailures counts the connections that the target refused or did not answer.
	ConnectFailures uint64
}

// target is a registered or once registered target. Balancer.mu guards it.
type target struct {
	Target
	checked State // Initial, Healthy or Unhealthy: the verdict of the checks alone

	registered bool // AWS's API says so
	routed     bool // the nodes have it in their tables: registered, or within the lag
	expired    bool // deregistered, and the delay is over

	passed     int // checks in a row
	failed     int
	failure    string
	stopChecks context.CancelFunc

	conns    map[*conn]struct{}
	failures uint64
}

func (t *target) state() State {
	switch {
	case t.registered:
		return t.checked
	case !t.expired:
		return Draining
	default:
		return Unused
	}
}

// Register adds a target, which gets connections once it is healthy. It returns an error if the id
// is known, also of a target that is draining.
func (b *Balancer) Register(t Target) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return ErrClosed
	}
	if old := b.find(t.ID); old != nil {
		return fmt.Errorf("target %s: still %s at %v", t.ID, old.state(), old.Addr)
	}
	added := &target{Target: t, checked: Initial, registered: true, routed: true, conns: map[*conn]struct{}{}}
	b.targets = append(b.targets, added)
	var ctx context.Context
	ctx, added.stopChecks = context.WithCancel(b.ctx)
	b.goroutines.Go(func() { b.checkRepeatedly(ctx, added) })
	return nil
}

// Deregister begins to drain a target. It returns an error if that is not registered.
func (b *Balancer) Deregister(id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return ErrClosed
	}
	t := b.find(id)
	if t == nil || !t.registered {
		return fmt.Errorf("target %s: not registered", id)
	}
	t.registered = false
	// A delay or a lag of zero must hold for the very next connection, so no timer waits for it.
	t.routed = b.config.DeregistrationLag > 0
	t.expired = b.config.DeregistrationDelay == 0
	b.cut(t)
	b.goroutines.Go(func() { b.drain(t) })
	return nil
}

// drain waits for the ends of the deregistration delay and of the lag, in their order.
func (b *Balancer) drain(t *target) {
	start := time.Now()
	ends := []time.Duration{b.config.DeregistrationLag, b.config.DeregistrationDelay}
	slices.Sort(ends)
	for _, after := range ends {
		if !sleep(b.ctx, time.Until(start.Add(after))) {
			return
		}
		b.mu.Lock()
		t.routed = t.routed && after < b.config.DeregistrationLag
		t.expired = t.expired || after >= b.config.DeregistrationDelay
		b.cut(t)
		b.mu.Unlock()
	}
}

// cut resets the connections of a deregistered target when its delay is over. b.mu is held.
func (b *Balancer) cut(t *target) {
	if t.expired {
		for c := range t.conns {
			c.reset()
		}
	}
	b.retire(t)
}

// retire stops the checks of a target that gets no connections any more, and forgets it with its
// last connection. b.mu is held.
func (b *Balancer) retire(t *target) {
	if t.registered || !t.expired || t.routed {
		return
	}
	t.stopChecks()
	if len(t.conns) == 0 {
		b.targets = slices.DeleteFunc(b.targets, func(other *target) bool { return other == t })
	}
}

// Targets returns all targets in the order of their registration: registered, draining, and unused
// ones that still have connections or still get them.
func (b *Balancer) Targets() []TargetHealth {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]TargetHealth, len(b.targets))
	for i, t := range b.targets {
		all[i] = TargetHealth{t.Target, t.state(), t.failure, len(t.conns), t.failures}
	}
	return all
}

// find returns the target of an id, nil if it is not known. b.mu is held.
func (b *Balancer) find(id string) *target {
	for _, t := range b.targets {
		if t.ID == id {
			return t
		}
	}
	return nil
}
