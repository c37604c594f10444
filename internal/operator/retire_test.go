package operator

import (
	"net/netip"
	"slices"
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
		_, err := f.Retire(t.Context(), netip.MustParseAddr("198.51.100.2"), RetireOptions{Timeout: 100 * time.Millisecond}, nil)
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
