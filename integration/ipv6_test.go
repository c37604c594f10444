package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

// Where ::1 cannot be bound Squid turns IPv6 off. A task with IPv6 clients then does not start, and
// another one says so.
func TestATaskWithoutIPv6SaysSo(t *testing.T) {
	const message = "Squid turns IPv6 off because "
	start := func(clients string) (*squidTask, error) {
		return tryTask(t, options(map[string]any{"clientCidrs": clients}))
	}
	both, ipv4 := "198.51.100.0/24,2600:1700:1::/48", "198.51.100.0/24"
	for _, clients := range []string{both, ipv4} {
		task, err := start(clients)
		must.OK(t, err)
		if strings.Contains(task.Errors(), message) {
			t.Errorf("with IPv6 and clients %s:\n%s", clients, task.Errors())
		}
		task.Kill()
	}
	withoutIPv6(t)
	if _, err := start(both); err == nil || !strings.Contains(err.Error(), "exit status 1\n") ||
		!strings.Contains(err.Error(), message) || !strings.Contains(err.Error(), "2600:1700:1::/48") {
		t.Errorf("a task with IPv6 clients: %v", err)
	}
	task, err := start(ipv4)
	must.OK(t, err)
	if !strings.Contains(task.Errors(), message) {
		t.Errorf("a task without IPv6 clients does not say that IPv6 is off:\n%s", task.Errors())
	}
}

// withoutIPv6 takes IPv6 from the loopback interface until the end of the test.
func withoutIPv6(t *testing.T) {
	t.Helper()
	const disable = "/proc/sys/net/ipv6/conf/lo/disable_ipv6"
	must.OK(t, os.WriteFile(disable, []byte("1"), 0o644))
	t.Cleanup(func() {
		must.OK(t, os.WriteFile(disable, []byte("0"), 0o644))
		// The kernel has forgotten the route of rig.Isolate.
		command := exec.Command("ip", "-6", "route", "add", "local", "::/0", "dev", "lo")
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	})
}
