package rotation

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/internal/must"
	"squidfleet/squid"
)

// breakable has two addresses, and new tasks that do not start while broken is set.
func breakable(broken *atomic.Bool) func(*local.Options) {
	return func(o *local.Options) {
		o.Addresses, o.Timing = 2, local.AWS(parameters).Faster(4*speed)
		o.Edit = func(conf string) string {
			if broken.Load() {
				conf += "no_such_directive on\n"
			}
			return conf
		}
	}
}

// expectEgress expects an answer by the task of an address.
func expectEgress(t *testing.T, c client, want local.TaskStatus) {
	t.Helper()
	response, err := c.proxy.Request(http.MethodGet, "http://"+c.origin+"/")
	if err != nil || response.StatusCode != http.StatusOK || response.Text != want.Address.String()+"\n" {
		t.Errorf("%+v, %v, want %v", response, err, want.Address)
	}
}

// As with ECS's circuit breaker, a rotation whose task does not start leaves the address as it was,
// and the next one may succeed.
func TestARotationThatFailsLeavesTheOldTaskInService(t *testing.T) {
	var broken atomic.Bool
	f, _, newClient := fleet(t, breakable(&broken))
	before := serving(t, f, 1)
	broken.Store(true)
	if _, err := f.Rotate(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "no_such_directive") {
		t.Fatalf("a rotation to a task that cannot start: %v", err)
	}
	if after := f.Addresses()[0].Tasks; len(after) != 1 || after[0].ID != before.ID {
		t.Fatalf("the task was %+v and is %+v", before, after)
	}
	expectEgress(t, newClient(1), before)
	broken.Store(false)
	r, err := f.Rotate(t.Context(), 1)
	if err != nil || len(r) != 1 || r[0].Old != before.Address || r[0].New != serving(t, f, 1).Address {
		t.Errorf("%+v, %v", r, err)
	}
	must.OK(t, f.Close())
	if left, err := filepath.Glob("/dev/shm/*"); err != nil || len(left) > 0 { // It is the namespace's own.
		t.Errorf("left in shared memory: %v, %v", left, err)
	}
	for _, a := range f.Addresses() {
		if len(a.Tasks) > 0 {
			t.Errorf("left of the tasks: %+v", a)
		}
	}
	if _, err := f.Rotate(t.Context()); err == nil {
		t.Error("a closed fleet rotates")
	}
}

// After some attempts an address whose tasks do not start is stopped: its port refuses connections.
// The other one serves on, also at the common port. Once the reason is gone, it can be started.
func TestAnAddressThatCannotBeReplacedIsStoppedAlone(t *testing.T) {
	var broken atomic.Bool
	f, l, newClient := fleet(t, breakable(&broken))
	broken.Store(true)
	must.OK(t, f.Kill(1))
	must.Await(t, "the address to be stopped", func() bool { return f.Addresses()[0].Stopped })
	var why string
	l.note(func() { why = l.details[local.Stopped] })
	if !strings.HasPrefix(why, "after 3 attempts: ") || !strings.Contains(why, "no_such_directive") {
		t.Error(why)
	}
	// The load balancer's lag is over by now.
	for _, number := range []int{2, anyAddress, anyAddress, anyAddress} {
		expectEgress(t, newClient(number), serving(t, f, 2))
	}
	// The client connects, and is reset.
	_, err := newClient(1).proxy.Request(http.MethodGet, "http://origin.example/")
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the port of a stopped address: %v", err)
	}
	if _, err := f.Rotate(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "the address is stopped") {
		t.Errorf("a stopped address rotates: %v", err)
	}
	if err := f.Start(t.Context(), 1); err == nil || !f.Addresses()[0].Stopped {
		t.Errorf("it started with the reason still there: %v", err)
	}
	broken.Store(false)
	must.OK(t, f.Start(t.Context(), 1))
	expectEgress(t, newClient(1), serving(t, f, 1))
	for what, err := range map[string]error{
		"is not stopped": f.Start(t.Context(), 2), "no address 3": f.Stop(3), "no address 0": f.Kill(0),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
}

// A caller that gives a start up gets just that error, whatever was under way: here the compiler.
func TestAStartThatIsGivenUp(t *testing.T) {
	temporary := temporaryDirectory(t)
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	passwords := []squid.Credential{{User: "alice", Password: "open sesame"}}
	f, err := local.Start(ctx,
		local.Options{Params: parameters, Passwords: passwords, Addresses: 1, Zones: 1, Port: 35201, Timing: timing})
	if f != nil || err != context.DeadlineExceeded {
		t.Errorf("%v, %v", f, err)
	}
	leavesNothing(t, temporary)
}
