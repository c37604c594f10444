package nlb

import (
	"maps"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
)

func (r *rig) deregister(id string) {
	r.t.Helper()
	must.OK(r.t, r.Deregister(id))
}

func TestDrainingKeepsConnectionsAndGetsNoNewOnes(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add(newBackend(t, "a"), newBackend(t, "b"))
	old := r.dial()
	r.deregister("a")
	if h := r.target("a"); h.State != Draining || h.Open != 1 {
		t.Errorf("%+v", h)
	}
	if got := r.spread(4); !maps.Equal(got, map[string]int{"b": 4}) {
		t.Errorf("after deregistration: %v, want b only", got)
	}
	old.echo()
}

func TestNewConnectionsReachADeregisteredTargetDuringTheLag(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationLag, c.DeregistrationDelay = MaxDeregistrationLag, 0
	r := newRig(t, c)
	r.add(newBackend(t, "a"), newBackend(t, "b"))
	r.deregister("a")
	if got := r.spread(4); !maps.Equal(got, map[string]int{"a": 2, "b": 2}) {
		t.Errorf("during the lag: %v, want both", got)
	}
	if s := r.target("a").State; s != Unused {
		t.Errorf("state %s, want unused although it gets connections", s)
	}
	r.fail("a")
	if got := r.spread(4); !maps.Equal(got, map[string]int{"b": 4}) {
		t.Errorf("it failed its checks during the lag: %v, want b only", got)
	}
}

func TestWhatIsLeftIsResetWhenTheDelayEnds(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, 100 * time.Millisecond} {
		c := quick()
		c.DeregistrationDelay = delay
		r := newRig(t, c)
		r.add(newBackend(t, "a"), newBackend(t, "b"))
		toA, toB := r.dial(), r.dial()
		begin := time.Now()
		r.deregister("a")
		toA.wantReset()
		if took := time.Since(begin); took < delay {
			t.Errorf("reset after %v, before the delay of %v was over", took, delay)
		}
		toB.echo()
		r.await("the target to be forgotten", func(all []TargetHealth) bool { return len(all) == 1 })
	}
}

func TestTheEndOfTheLagResetsNothingBeforeTheDelayIsOver(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationLag = 50 * time.Millisecond
	r := newRig(t, c)
	r.add(newBackend(t, "a"))
	old := r.dial()
	r.deregister("a")
	must.Await(t, "the lag to end", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return !r.targets[0].routed
	})
	time.Sleep(50 * time.Millisecond) // what the end of the lag began must not reset it
	r.state("a", Draining)
	old.echo()
}

func TestWhatCameDuringALongerLagIsResetToo(t *testing.T) {
	t.Parallel()
	c := quick()
	c.DeregistrationDelay = 50 * time.Millisecond
	c.DeregistrationLag = 2 * time.Second // room for one connection on a busy machine
	r := newRig(t, c)
	r.add(newBackend(t, "a"))
	r.deregister("a")
	r.state("a", Unused)
	late := r.dial()
	late.echo()
	late.wantReset()
}

func TestBadRegistrationsAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.insert("x", newBackend(t, "x").addr)
	if err := r.Register(Target{ID: "x"}); err == nil || !strings.Contains(err.Error(), "still initial") {
		t.Errorf("a known id: %v", err)
	}
	r.deregister("x")
	for _, id := range []string{"x", "y"} {
		if err := r.Deregister(id); err == nil || !strings.Contains(err.Error(), "not registered") {
			t.Errorf("%s: %v", id, err)
		}
	}
}
