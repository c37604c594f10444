package rotation

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/squid"
)

// breakable has some tasks, and new ones that do not start while broken is set.
func breakable(tasks int, broken *atomic.Bool) func(*local.Options) {
	return func(o *local.Options) {
		o.Tasks, o.Timing = tasks, local.AWS(parameters).Faster(4*speed)
		o.Edit = func(conf string) string {
			if broken.Load() {
				conf += "no_such_directive on\n"
			}
			return conf
		}
	}
}

// As with ECS's circuit breaker, a rotation whose tasks do not start leaves the fleet as it was,
// and the next one may succeed.
func TestARotationThatFailsLeavesTheOldTasksInService(t *testing.T) {
	var broken atomic.Bool
	f, l, newClient := fleet(t, breakable(2, &broken))
	before := f.Tasks()
	c := newClient()
	broken.Store(true)
	if _, err := f.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "no_such_directive") {
		t.Fatalf("a rotation to tasks that cannot start: %v", err)
	}
	after := f.Tasks()
	for i := range after {
		if len(after) != len(before) || after[i].ID != before[i].ID || after[i].Phase != local.PhaseServing {
			t.Fatalf("the tasks were %+v and are %+v", before, after)
		}
	}
	if response, err := c.proxy.Request(http.MethodGet, "http://"+c.origin+"/"); err != nil ||
		response.StatusCode != http.StatusOK {
		t.Errorf("%+v, %v", response, err)
	}
	broken.Store(false)
	r, err := f.Rotate(t.Context())
	if err != nil || len(r.New) != 2 || len(r.Old) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, old := range r.Old {
		if !l.inUse[old] {
			t.Errorf("%v was never in use", old)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob("/dev/shm/*"); err != nil || len(left) > 0 { // It is the namespace's own.
		t.Errorf("left in shared memory: %v, %v", left, err)
	}
	if tasks := f.Tasks(); len(tasks) > 0 {
		t.Errorf("left of the tasks: %+v", tasks)
	}
	if _, err := f.Rotate(t.Context()); err == nil {
		t.Error("a closed fleet rotates")
	}
}

// A fleet that cannot be kept in service says so, after some attempts, and does not try for ever.
func TestAFleetThatCannotReplaceATaskIsBroken(t *testing.T) {
	var broken atomic.Bool
	f, _, _ := fleet(t, breakable(1, &broken))
	broken.Store(true)
	if err := f.Kill(f.Tasks()[0].ID); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-f.Broken():
		if !strings.HasPrefix(err.Error(), "replace a task: after 3 attempts: ") ||
			!strings.Contains(err.Error(), "no_such_directive") {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("not broken after a minute")
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
		local.Options{Params: parameters, Passwords: passwords, Tasks: 1, Zones: 1, Timing: timing})
	if f != nil || err != context.DeadlineExceeded {
		t.Errorf("%v, %v", f, err)
	}
	leavesNothing(t, temporary)
}
