package operator

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// Protection that ended before the successor serves would let ECS take any task.
func TestProtectionIsRenewedWhileTheSuccessorStarts(t *testing.T) {
	for _, c := range []struct {
		after   time.Duration
		renewed bool
	}{{time.Nanosecond, true}, {renewProtection, false}} {
		f, aws := connect(t)
		f.renewProtection = c.after
		if err := aws.Set("never-healthy"); err != nil {
			t.Fatal(err)
		}
		_, err := f.Retire(t.Context(), netip.MustParseAddr("198.51.100.2"),
			RetireOptions{Timeout: 100 * time.Millisecond}, nil)
		if err == nil {
			t.Fatal("a task that never is healthy was a successor")
		}
		calls := aws.Calls()
		raised := slices.Index(calls, "ecs:UpdateService")
		lowered := raised + 1 + slices.Index(calls[raised+1:], "ecs:UpdateService")
		if renewed := slices.Contains(calls[raised:lowered], "ecs:UpdateTaskProtection"); renewed != c.renewed {
			t.Errorf("after %v: renewed %v", c.after, renewed)
		}
	}
}

// A task that ends meanwhile cannot be protected, and need not be.
func TestATaskThatEndsMeanwhileIsNoObstacle(t *testing.T) {
	f, aws := connect(t)
	f.renewProtection = time.Nanosecond
	if err := errors.Join(aws.Set("desired", "3"), aws.Set("never-healthy")); err != nil {
		t.Fatal(err)
	}
	changed := false
	_, err := f.Retire(t.Context(), netip.MustParseAddr("198.51.100.2"), RetireOptions{Timeout: 100 * time.Millisecond},
		func(line string) {
			if !changed {
				if err := aws.Set("stopping", "198.51.100.1"); err != nil {
					t.Error(err)
				}
			}
			changed = true
			if strings.Contains(line, "protection") {
				t.Error(line)
			}
		})
	if err == nil || !strings.HasPrefix(err.Error(), "only 1 of 3 tasks besides 198.51.100.2 are healthy") {
		t.Errorf("%v", err)
	}
}
