package integration

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/rig"
)

// descriptors is how many Squid may have open in a task of 512 MiB, and perClient how many
// connections one address may have to it.
const (
	descriptors = 5120
	perClient   = 1024
)

// crowdProblems says whether one address may open more connections than its share, or whether
// another one suffers from it.
func crowdProblems(task *squidTask) (problems []string) {
	crowd, other := client(task), client(task)
	crowd.Header = rig.ProxyHeader(netip.MustParseAddr("198.51.100.99"))
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	for range perClient {
		conn, err := crowd.Dial()
		if err != nil {
			return append(problems, "crowd: "+err.Error())
		}
		open = append(open, conn)
	}
	if response, err := crowd.Request("GET", "http://origin.example/"); err == nil {
		problems = append(problems, fmt.Sprintf("connection %d of one address: %+v", perClient+1, response))
	}
	response, err := other.Request("GET", "http://origin.example/")
	if err != nil || response.StatusCode != 200 {
		problems = append(problems,
			fmt.Sprintf("another address next to %d connections: %+v, %v", perClient, response, err))
	}
	for _, conn := range open {
		conn.Close()
	}
	open = nil
	served := false
	for range 100 {
		time.Sleep(10 * time.Millisecond)
		response, err := crowd.Request("GET", "http://origin.example/")
		if served = err == nil && response.StatusCode == 200; served {
			break
		}
	}
	if !served {
		problems = append(problems, "the address is not served when its connections are closed")
	}
	return problems
}

// rss is a process's memory, in bytes.
func rss(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kB int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kB); err == nil {
			return kB * 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

func squidOf(t *testing.T, task *squidTask) int {
	t.Helper()
	pids, err := task.Children("squid")
	if err != nil || len(pids) != 1 {
		t.Fatalf("Squids: %v, %v", pids, err)
	}
	return pids[0]
}

// A task of 512 MiB holds thousands of idle tunnels and hostile connections at a time, and serves
// the next client.
func TestThousandsOfIdleAndHostileConnectionsLeaveRoomForTheNextClient(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(nil))
	squid := squidOf(t, task)
	idle := rss(t, squid)
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	// Idle tunnels from four addresses, half of what each may have.
	const tunnels = 4 * 500
	for i := range tunnels {
		c := client(task)
		c.Header = rig.ProxyHeader(netip.AddrFrom4([4]byte{198, 51, 100, byte(20 + i%4)}))
		tunnel, response, err := c.Tunnel("origin.example:443")
		if err != nil || tunnel == nil {
			t.Fatalf("tunnel %d: %+v, %v\n%s", i, response, err, task.Errors())
		}
		open = append(open, tunnel)
	}
	withTunnels := rss(t, squid)
	// Connections that send nothing, half a request line, headers without an end, or headers that
	// are too long.
	const line = "GET http://origin.example/ HTTP/1.1\r\n"
	hostile := []string{"", "GET http://origin.exa", line + "X: y\r\n", line + "X: " + strings.Repeat("y", 16<<10)}
	const each = 250
	for i := range each * len(hostile) {
		c := client(task)
		c.Header = rig.ProxyHeader(netip.AddrFrom4([4]byte{198, 51, 100, byte(40 + i%8)}))
		conn, err := c.Dial()
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
		io.WriteString(conn, hostile[i%len(hostile)])
	}
	full := rss(t, squid)
	for _, method := range []string{"GET", "CONNECT"} {
		target := map[string]string{"GET": "http://origin.example/", "CONNECT": "origin.example:443"}[method]
		response, err := client(task).Request(method, target)
		if err != nil || response.StatusCode != 200 {
			t.Errorf("%s next to them: %+v, %v", method, response, err)
		}
	}
	t.Logf("Squid's memory: %d MiB idle, %d with %d tunnels (%d kB each)",
		idle>>20, withTunnels>>20, tunnels, (withTunnels-idle)/tunnels/1000)
	t.Logf("%d MiB with %d hostile connections on top (%d kB each)",
		full>>20, each*len(hostile), (full-withTunnels)/(each*len(hostile))/1000)
	if full > 400<<20 {
		t.Errorf("%d MiB, of the 512 of the smallest task", full>>20)
	}
}

// One address opens everything that it can: what a request needs, up to its share, and what needs
// none, until Squid has no descriptor left. Another address is served, at the latest when the first
// unfinished requests
// have had their time, and the memory is that of the smallest task, of which 112 MiB are left for
// the other processes and the kernel's side of the connections.
func TestOneAddressCannotUseUpATask(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(nil))
	squid := squidOf(t, task)
	attacker := client(task)
	attacker.Header = rig.ProxyHeader(netip.MustParseAddr("198.51.100.99"))
	begin := time.Now()
	siege, err := rig.Besiege(attacker, "origin.example:443", perClient/2, descriptors)
	if err != nil {
		t.Fatal(err)
	}
	defer siege.Close()
	t.Logf("%s after %s", siege, time.Since(begin).Round(time.Second))
	if siege.Tunnels != perClient-siege.Idle {
		t.Errorf("%d tunnels next to %d idle connections, of %d", siege.Tunnels, siege.Idle, perClient)
	}
	most := 0
	for time.Since(begin) < 6*time.Second && most < descriptors-200 {
		most = max(most, descriptorsOf(t, squid))
		time.Sleep(10 * time.Millisecond)
	}
	memory := rss(t, squid)
	for served := false; !served; {
		response, err := client(task).Request("GET", "http://origin.example/")
		served = err == nil && response.StatusCode == 200
		if time.Since(begin) > time.Minute {
			t.Fatalf("another address is not served: %+v, %v", response, err)
		}
	}
	memory = max(memory, rss(t, squid))
	t.Logf("%d descriptors at most, %d MiB; another address is served after %s",
		most, memory>>20, time.Since(begin).Round(time.Second))
	if most < descriptors-200 {
		t.Errorf("only %d of %d descriptors were used: this is no siege", most, descriptors)
	}
	if memory > 400<<20 {
		t.Errorf("%d MiB, of the 512 of the smallest task", memory>>20)
	}
}

// One address completes long headers on as many connections as Squid can have open, at the same
// moment: no share helps then, because Squid reads all of them before it cuts off the first. The
// memory is that of the
// smallest task all the same, and another address is served at once.
func TestABurstOfLongHeadersDoesNotUseUpATask(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(nil))
	squid := squidOf(t, task)
	attacker := client(task)
	attacker.Header = rig.ProxyHeader(netip.MustParseAddr("198.51.100.99"))
	if err := rig.Burst(attacker, squid, descriptors-200); err != nil {
		t.Fatal(err)
	}
	response, err := client(task).Request("GET", "http://origin.example/")
	if err != nil || response.StatusCode != 200 {
		t.Errorf("another address: %+v, %v", response, err)
	}
	peak := memoryOf(t, squid, "status", "VmHWM") >> 10
	t.Logf("%d MiB at most", peak)
	if peak > 430 {
		t.Errorf("%d MiB, of the 512 of the smallest task", peak)
	}
}
