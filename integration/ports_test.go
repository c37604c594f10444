package integration

import (
	"net"
	"os"
	"testing"

	"squidfleet/internal/rig"
)

// An outgoing connection that happens to hold a task's port would keep the task from listening.
func TestNoConnectionTakesAPortThatATaskListensOn(t *testing.T) {
	rig.StartOrigins(t, []int{80}, nil)
	const setting = "/proc/sys/net/ipv4/ip_local_port_range"
	before, err := os.ReadFile(setting)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(setting, before, 0o644); err != nil {
			t.Error(err)
		}
	})
	// Nearly all ports that are left to choose from are the listeners'.
	if err := os.WriteFile(setting, []byte("35190 35499"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		conn, err := net.Dial("tcp", "1.2.3.4:80")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if port := conn.LocalAddr().(*net.TCPAddr).Port; port >= rig.FirstPort && port <= rig.LastPort {
			t.Errorf("a connection was made from port %d", port)
		}
	}
}
