package nlb

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestDrainingKeepsConnectionsAndGetsNoNewOnes(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"), newBackend(t, "b"))
	old := r.dial(r.addr)
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	if h := r.target("a"); h.State != Draining || h.Reason != "Target.DeregistrationInProgress" || h.Open != 1 {
		t.Errorf("%+v", h)
	}
	if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"b": 4}) {
		t.Errorf("after deregistration: %v, want b only", got)
	}
	old.echo()
}

func TestNewConnectionsReachADeregisteredTargetDuringTheLag(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationLag = MaxDeregistrationLag
	c.DeregistrationDelay = 0
	r := newRig(t, c)
	r.add("", newBackend(t, "a"), newBackend(t, "b"))
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"a": 2, "b": 2}) {
		t.Errorf("during the lag: %v, want both", got)
	}
	if s := r.target("a").State; s != Unused {
		t.Errorf("state %s, want unused although it gets connections", s)
	}
}

func TestADeregisteredTargetThatFailsItsChecksGetsNothingDuringTheLag(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationLag = MaxDeregistrationLag
	r := newRig(t, c)
	r.add("", newBackend(t, "a"), newBackend(t, "b"))
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	r.fail("a")
	if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"b": 4}) {
		t.Errorf("during the lag: %v, want b only", got)
	}
}

func TestTheLagEnds(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationLag = 100 * time.Millisecond
	c.DeregistrationDelay = 0
	r := newRig(t, c)
	r.add("", newBackend(t, "a"), newBackend(t, "b"))
	begin := time.Now()
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	forgotten := func(all []TargetHealth) bool { return len(all) == 1 && all[0].ID == "b" }
	if err := r.Wait(soon(t), forgotten); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < c.DeregistrationLag {
		t.Errorf("forgotten after %v, within the lag", took)
	}
	if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"b": 4}) {
		t.Errorf("after the lag: %v, want b only", got)
	}
}

func TestTheDelayEndsAndConnectionsGoOn(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, 100 * time.Millisecond} {
		c := quick()
		c.DeregistrationDelay = delay
		r := newRig(t, c)
		r.add("", newBackend(t, "a"))
		old := r.dial(r.addr)
		begin := time.Now()
		if err := r.Deregister("a"); err != nil {
			t.Fatal(err)
		}
		r.state("a", Unused)
		if took := time.Since(begin); took < delay {
			t.Errorf("unused after %v, before the delay of %v was over", took, delay)
		}
		old.echo()
		if h := r.target("a"); h.Reason != "Target.NotRegistered" || h.Open != 1 {
			t.Errorf("%+v", h)
		}
		old.Close()
		if err := r.Wait(soon(t), func(all []TargetHealth) bool { return len(all) == 0 }); err != nil {
			t.Errorf("not forgotten with its last connection: %v", err)
		}
	}
}

func TestTerminationResetsWhatIsLeftWhenTheDelayEnds(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, 100 * time.Millisecond} {
		c := quick()
		c.DeregistrationDelay = delay
		c.TerminateOnDeregistration = true
		r := newRig(t, c)
		r.add("", newBackend(t, "a"), newBackend(t, "b"))
		toA, toB := r.dial(r.addr), r.dial(r.addr)
		begin := time.Now()
		if err := r.Deregister("a"); err != nil {
			t.Fatal(err)
		}
		toA.wantReset()
		if took := time.Since(begin); took < delay {
			t.Errorf("reset after %v, before the delay of %v was over", took, delay)
		}
		toB.echo()
		if n := r.Stats().TerminatedReset; n != 1 {
			t.Errorf("%d counted, want 1", n)
		}
	}
}

func TestTheEndOfTheLagTerminatesNothingBeforeTheDelayIsOver(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationLag = 50 * time.Millisecond
	c.TerminateOnDeregistration = true
	r := newRig(t, c)
	r.add("", newBackend(t, "a"))
	old := r.dial(r.addr)
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the lag to end", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return !r.targets["a"].routed
	})
	time.Sleep(50 * time.Millisecond) // what the end of the lag began must not reset it
	r.state("a", Draining)
	old.echo()
}

func TestTheDelayEndsDuringALongerLag(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationLag = MaxDeregistrationLag
	c.DeregistrationDelay = 50 * time.Millisecond
	r := newRig(t, c)
	r.add("", newBackend(t, "a"))
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	r.state("a", Unused)
	r.dial(r.addr).echo()
}

func TestTerminationAlsoResetsWhatCameDuringALongerLag(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationDelay = 0
	c.DeregistrationLag = 2 * time.Second // room for one connection on a busy machine
	c.TerminateOnDeregistration = true
	r := newRig(t, c)
	r.add("", newBackend(t, "a"))
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	late := r.dial(r.addr)
	late.echo()
	late.wantReset()
}

func TestADrainingTargetCanBeRegisteredAgain(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationDelay = 200 * time.Millisecond
	c.TerminateOnDeregistration = true
	r := newRig(t, c)
	k := newBackend(t, "a")
	r.add("", k)
	old := r.dial(r.addr)
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	r.add("", k)                          // waits until it is healthy
	k.checked(2)                          // one for each registration
	time.Sleep(2 * c.DeregistrationDelay) // what the first deregistration began must not go on
	old.echo()
	if got := r.dial(r.addr).target; got != "a" {
		t.Errorf("answered by %q", got)
	}
}

func TestBadRegistrationsAreRefused(t *testing.T) {
	t.Parallel()
	c := quick()
	c.Zones = []Zone{{Name: "a", Node: netip.MustParseAddr("127.0.0.1")}, {Name: "b"}}
	r := newRig(t, c)
	good := Target{ID: "x", Addr: newBackend(t, "x").addr, Zone: "a"}
	if err := r.Register(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		want string
		Target
	}{
		{"already registered", good},
		{"not an address and port", Target{Zone: "a"}},
		{"not an address and port", Target{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Zone: "a"}},
		{"not an address and port", Target{Addr: netip.MustParseAddrPort("0.0.0.0:80"), Zone: "a"}},
		{`Zone: "c" is not enabled`, Target{Addr: good.Addr, Zone: "c"}},
		{"one address family", Target{Addr: netip.MustParseAddrPort("[::1]:80"), Zone: "a"}},
	} {
		if err := r.Register(bad.Target); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%+v: got %v, want %q", bad.Target, err, bad.want)
		}
	}
	if err := r.Deregister("y"); err == nil || !strings.Contains(err.Error(), "not registered") {
		t.Errorf("Deregister of an unknown target: %v", err)
	}
	if err := r.Deregister("x"); err != nil {
		t.Fatal(err)
	}
	if err := r.Deregister("x"); err == nil {
		t.Error("deregistered twice")
	}
	moved := good
	moved.Addr = newBackend(t, "y").addr
	if err := r.Register(moved); err == nil || !strings.Contains(err.Error(), "still draining") {
		t.Errorf("the id of a draining target at another address: %v", err)
	}
	if err := r.Register(Target{Addr: moved.Addr, Zone: "b"}); err != nil {
		t.Fatal(err)
	}
	r.target(moved.Addr.String()) // the id that an empty one becomes
}

func TestWaitTellsWhatItLastSaw(t *testing.T) {
	t.Parallel()
	c := quick()
	c.RegistrationDelay = 100 * patience
	r := newRig(t, c)
	if err := r.Register(Target{ID: "a", Addr: newBackend(t, "a").addr}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := r.WaitState(ctx, "a", Healthy)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "a initial, 0 open") {
		t.Errorf("got %v", err)
	}
	if err := r.WaitState(soon(t), "unknown", Unused); err != nil {
		t.Errorf("an unknown target is unused: %v", err)
	}
}
