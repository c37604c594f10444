package nlb

import (
	"strings"
	"testing"
	"time"
)

func TestHealthFollowsTheListenerByLocalChecks(t *testing.T) {
	t.Parallel()
	c := quick()
	c.HealthCheck = HealthCheck{10 * time.Millisecond, patience, 2, 2}
	r := newRig(t, c)
	k := newBackend(t, "a")
	r.add(k)
	k.checked(2)
	k.refuse()
	r.state("a", Unhealthy)
	if h := r.target("a"); !strings.Contains(h.Failure, "refused") {
		t.Errorf("failure %q", h.Failure)
	}
	k.accept()
	r.state("a", Healthy)
	if h := r.target("a"); h.Failure != "" {
		t.Errorf("healthy, yet %q", h.Failure)
	}
	k.checked(4)
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.clients) != 0 {
		t.Errorf("%d connections looked like a client's", len(k.clients))
	}
}

func TestThresholdsCountChecksInARow(t *testing.T) {
	t.Parallel()
	c := quick()
	c.HealthCheck.HealthyThreshold, c.HealthCheck.UnhealthyThreshold = 3, 2
	r := newRig(t, c)
	r.insert("a", newBackend(t, "a").addr)
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
