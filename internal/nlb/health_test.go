package nlb

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

func TestHealthFollowsTheListenerByLocalChecks(t *testing.T) {
	t.Parallel()
	c := quick()
	c.HealthCheck = HealthCheck{Interval: 10 * time.Millisecond, Timeout: patience, HealthyThreshold: 2, UnhealthyThreshold: 2}
	r := newRig(t, c)
	k := newBackend(t, "a")
	r.add("", k)
	k.checked(2)
	k.refuse()
	r.state("a", Unhealthy)
	h := r.target("a")
	if h.Reason != "Target.FailedHealthChecks" || !strings.Contains(h.Description, "refused") {
		t.Errorf("reason %q, description %q", h.Reason, h.Description)
	}
	k.accept()
	r.state("a", Healthy)
	if h := r.target("a"); h.Reason != "" || h.Description != "" {
		t.Errorf("healthy, yet reason %q, description %q", h.Reason, h.Description)
	}
	for _, s := range k.checked(4) {
		if !bytes.Equal(s.raw, localHeader()) {
			t.Fatalf("a check sent %x", s.raw)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.clients) != 0 {
		t.Errorf("%d connections looked like a client's", len(k.clients))
	}
}

func TestThresholdsCountChecksInARow(t *testing.T) {
	t.Parallel()
	c := quick()
	c.RegistrationDelay = 100 * patience // no check but the test's own
	c.HealthCheck.HealthyThreshold, c.HealthCheck.UnhealthyThreshold = 3, 2
	r := newRig(t, c)
	if err := r.Register(Target{ID: "a", Addr: newBackend(t, "a").addr}); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		pass bool
		want State
	}{
		{true, Initial}, {true, Initial}, {false, Initial},
		{true, Initial}, {true, Initial}, {true, Healthy},
		{false, Healthy}, {true, Healthy}, {false, Healthy}, {false, Unhealthy},
		{true, Unhealthy}, {true, Unhealthy}, {false, Unhealthy},
		{true, Unhealthy}, {true, Unhealthy}, {true, Healthy},
	} {
		if step.pass {
			r.succeed("a")
		} else {
			r.fail("a")
		}
		if got := r.target("a").State; got != step.want {
			t.Fatalf("after step %d: %s, want %s", i, got, step.want)
		}
	}
}

func TestTheFirstCheckWaitsForTheRegistration(t *testing.T) {
	t.Parallel()
	c := quick()
	c.RegistrationDelay = 200 * time.Millisecond
	r := newRig(t, c)
	begin := time.Now()
	if err := r.Register(Target{ID: "a", Addr: newBackend(t, "a").addr}); err != nil {
		t.Fatal(err)
	}
	if h := r.target("a"); h.State != Initial || h.Reason != "Elb.RegistrationInProgress" {
		t.Errorf("%s, %s", h.State, h.Reason)
	}
	r.state("a", Healthy)
	if took := time.Since(begin); took < c.RegistrationDelay {
		t.Errorf("healthy after %v, before the registration delay of %v was over", took, c.RegistrationDelay)
	}
}

func TestAnUnhealthyTargetLosesItsConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"), newBackend(t, "b"))
	toA, toB := r.dial(r.addr), r.dial(r.addr)
	r.fail("a")
	toA.wantReset()
	toB.echo()
	if n := r.Stats().UnhealthyReset; n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
	r.fail("b")
	toB.echo() // nobody is healthy now: fail-open
}

func TestAnUnhealthyTargetKeepsItsConnectionsIfToldSo(t *testing.T) {
	t.Parallel()
	c := quick()
	c.KeepUnhealthyConnections = true
	r := newRig(t, c)
	r.add("", newBackend(t, "a"), newBackend(t, "b"))
	toA := r.dial(r.addr)
	r.fail("a")
	toA.echo()
}

func TestADrainingTargetThatFailsItsChecksLosesItsConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"), newBackend(t, "b"))
	toA := r.dial(r.addr)
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	toA.echo()
	r.fail("a")
	toA.wantReset()
	if s := r.target("a").State; s != Draining {
		t.Errorf("state %s, want draining", s)
	}
}

func TestAnOldRegistrationsCheckDoesNotCount(t *testing.T) {
	t.Parallel()
	c := quick()
	c.RegistrationDelay = 100 * patience
	r := newRig(t, c)
	if err := r.Register(Target{ID: "a", Addr: newBackend(t, "a").addr}); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	r.record(over, r.targets["a"], nil)
	if s := r.target("a").State; s != Initial {
		t.Errorf("state %s, want initial", s)
	}
}
