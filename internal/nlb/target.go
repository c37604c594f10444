package nlb

import (
	"cmp"
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
	// ID names the target in Deregister and Targets; Register fills an empty one
	// with the address and port.
	ID string
	// Addr is where the target listens.
	Addr netip.AddrPort
	// Zone is the name of an enabled zone.
	Zone string
}

// TargetHealth is a target and its numbers at one moment.
type TargetHealth struct {
	Target
	// State is what AWS's DescribeTargetHealth would answer.
	State State
	// Reason is AWS's reason code; empty when healthy.
	Reason string
	// Description says why the last check failed; empty after one that passed.
	Description string
	// Registered is the time of the registration, Since that of the last change of
	// State.
	Registered, Since time.Time
	// Open counts connections now, also those still connecting to the target.
	Open int
	// Total counts all connections ever given to the target, ConnectFailures those
	// among them that it refused or did not answer.
	Total, ConnectFailures uint64
}

// target is a registered or once registered target. Balancer.mu guards it.
type target struct {
	Target
	order   int   // of registration, for a stable listing
	checked State // Initial, Healthy or Unhealthy: the verdict of the checks alone

	registered bool // AWS's API says so
	routed     bool // the nodes have it in their tables: registered, or within the lag
	expired    bool // deregistered, and the delay is over

	checking     bool // the registration delay is over
	passed       int  // checks in a row
	failed       int
	failure      string
	stopChecks   context.CancelFunc
	stopDraining context.CancelFunc

	registeredAt, since time.Time
	conns               map[*conn]struct{}
	total, failures     uint64
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

func (t *target) reason() string {
	switch t.state() {
	case Initial:
		if !t.checking {
			return "Elb.RegistrationInProgress"
		}
		return "Elb.InitialHealthChecking"
	case Unhealthy:
		return "Target.FailedHealthChecks"
	case Draining:
		return "Target.DeregistrationInProgress"
	case Unused:
		return "Target.NotRegistered"
	}
	return ""
}

func (t *target) health() TargetHealth {
	return TargetHealth{
		Target: t.Target, State: t.state(), Reason: t.reason(), Description: t.failure,
		Registered: t.registeredAt, Since: t.since,
		Open: len(t.conns), Total: t.total, ConnectFailures: t.failures,
	}
}

// Register adds a target, which gets connections once it is healthy. A target
// that is still draining can be registered again under the same id and address:
// it keeps its connections and starts over as initial. It is an error to register
// an id twice, an invalid address, a zone that is not enabled (AWS would list the
// target as unused), or an address whose family a node cannot connect from.
func (b *Balancer) Register(t Target) error {
	if !t.Addr.IsValid() || t.Addr.Port() == 0 || t.Addr.Addr().IsUnspecified() {
		return fmt.Errorf("target.Addr: %q is not an address and port to connect to", t.Addr)
	}
	t.Addr = netip.AddrPortFrom(t.Addr.Addr().Unmap(), t.Addr.Port())
	t.ID = cmp.Or(t.ID, t.Addr.String())
	known := false
	for _, z := range b.config.Zones {
		known = known || z.Name == t.Zone
		if (z.Name == t.Zone || b.config.CrossZone) && z.Node.IsValid() && z.Node.Is4() != t.Addr.Addr().Is4() {
			return fmt.Errorf("target %s: Addr: %v cannot be reached from zone %q's node %v; use one address family",
				t.ID, t.Addr, z.Name, z.Node)
		}
	}
	if !known {
		return fmt.Errorf("target %s: Zone: %q is not enabled; use one of %q", t.ID, t.Zone, b.zoneNames())
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	now := time.Now()
	old, exists := b.targets[t.ID]
	switch {
	case exists && old.registered:
		return fmt.Errorf("target %s: ID: already registered; deregister it first", t.ID)
	case exists && old.Target != t:
		return fmt.Errorf("target %s: ID: still %s at %v; wait until it is forgotten or use another id",
			t.ID, old.state(), old.Addr)
	case exists:
		old.stopChecks()
		old.stopDraining()
	default:
		b.order++
		old = &target{Target: t, order: b.order, conns: map[*conn]struct{}{}}
		b.targets[t.ID] = old
	}
	old.registered, old.routed, old.expired, old.checking = true, true, false, false
	old.checked, old.passed, old.failed, old.failure = Initial, 0, 0, ""
	old.registeredAt, old.since = now, now
	var ctx context.Context
	ctx, old.stopChecks = context.WithCancel(b.ctx)
	old.stopDraining = func() {}
	b.goroutines.Go(func() { b.checkRepeatedly(ctx, old) })
	b.notify()
	return nil
}

// Deregister begins to drain a target. It is an error if no target of that id is
// registered (AWS's API would ignore it).
func (b *Balancer) Deregister(id string) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	t, ok := b.targets[id]
	if !ok || !t.registered {
		b.mu.Unlock()
		return fmt.Errorf("target %s: ID: not registered", id)
	}
	t.registered, t.since = false, time.Now()
	var ctx context.Context
	ctx, t.stopDraining = context.WithCancel(b.ctx)
	// A delay or a lag of zero must hold for the very next connection, so it is not
	// left to a timer.
	var doomed []*conn
	if b.config.DeregistrationLag == 0 {
		t.routed = false
	}
	if b.config.DeregistrationDelay == 0 {
		t.expired = true
		doomed = b.connsToTerminate(t)
	}
	b.retire(t)
	b.goroutines.Go(func() { b.drain(ctx, t) })
	b.notify()
	b.mu.Unlock()
	resetAll(doomed, &b.stats.terminated)
	return nil
}

// drain waits for the ends of the deregistration delay and of the lag, in
// whichever order they come, until ctx ends (the target was registered again, or
// the Balancer was closed).
func (b *Balancer) drain(ctx context.Context, t *target) {
	start := time.Now()
	steps := []struct {
		after time.Duration
		do    func()
	}{
		{b.config.DeregistrationLag, func() { t.routed = false }},
		{b.config.DeregistrationDelay, func() { t.expired, t.since = true, time.Now() }},
	}
	if steps[0].after > steps[1].after {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if step.after == 0 {
			continue // Deregister did it
		}
		if !sleep(ctx, time.Until(start.Add(step.after))) {
			return
		}
		b.mu.Lock()
		if ctx.Err() != nil {
			b.mu.Unlock()
			return
		}
		step.do()
		doomed := b.connsToTerminate(t)
		b.retire(t)
		b.notify()
		b.mu.Unlock()
		resetAll(doomed, &b.stats.terminated)
	}
}

// connsToTerminate returns what termination on deregistration resets now.
// b.mu is held.
func (b *Balancer) connsToTerminate(t *target) []*conn {
	if !b.config.TerminateOnDeregistration || !t.expired {
		return nil
	}
	return t.connections()
}

func (t *target) connections() []*conn {
	all := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		all = append(all, c)
	}
	return all
}

// retire stops the checks of a target that no node uses any more, and forgets it
// with its last connection. b.mu is held.
func (b *Balancer) retire(t *target) {
	if t.registered || t.routed || !t.expired {
		return
	}
	t.stopChecks()
	if len(t.conns) == 0 {
		t.stopDraining()
		delete(b.targets, t.ID)
	}
}

// Targets returns all targets in the order of their registration: registered,
// draining, and unused ones that still have connections or still get them.
func (b *Balancer) Targets() []TargetHealth {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshot()
}

// snapshot is Targets with b.mu held.
func (b *Balancer) snapshot() []TargetHealth {
	ordered := make([]*target, 0, len(b.targets))
	for _, t := range b.targets {
		ordered = append(ordered, t)
	}
	slices.SortFunc(ordered, func(x, y *target) int { return x.order - y.order })
	all := make([]TargetHealth, len(ordered))
	for i, t := range ordered {
		all[i] = t.health()
	}
	return all
}

// sleep waits for d, and says whether it did so before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
