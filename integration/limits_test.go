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

// perClient is how many connections one address may have to a task of 512 MiB.
const perClient = 2048

// crowdProblems says whether one address may open more connections than its share, or whether another one suffers from it.
func crowdProblems(task *rig.Task) (problems []string) {
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
	response, err := crowd.Request("GET", "http://origin.example/")
	if err != nil || response.StatusCode != 429 || response.Text != "Too many requests from this address.\n" {
		problems = append(problems, fmt.Sprintf("connection %d of one address: %+v, %v", perClient+1, response, err))
	}
	response, err = other.Request("GET", "http://origin.example/")
	if err != nil || response.StatusCode != 200 {
		problems = append(problems, fmt.Sprintf("another address next to %d connections: %+v, %v", perClient, response, err))
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

func squidOf(t *testing.T, task *rig.Task) int {
	t.Helper()
	pids, err := task.Children("squid")
	if err != nil || len(pids) != 1 {
		t.Fatalf("Squids: %v, %v", pids, err)
	}
	return pids[0]
}

// A task of 512 MiB holds thousands of idle tunnels and hostile connections at a time, and serves the next client.
func TestThousandsOfIdleAndHostileConnectionsLeaveRoomForTheNextClient(t *testing.T) {
	newWorld(t)
	task := rig.StartTask(t, options(nil))
	squid := squidOf(t, task)
	idle := rss(t, squid)
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	// Idle tunnels from three addresses, nearly as many as each may have.
	const tunnels = 3 * 1500
	for i := range tunnels {
		c := client(task)
		c.Header = rig.ProxyHeader(netip.AddrFrom4([4]byte{198, 51, 100, byte(20 + i%3)}))
		tunnel, response, err := c.Tunnel("origin.example:443")
		if err != nil || tunnel == nil {
			t.Fatalf("tunnel %d: %+v, %v\n%s", i, response, err, task.Errors())
		}
		open = append(open, tunnel)
	}
	withTunnels := rss(t, squid)
	// Connections that send nothing, half a request line, headers without an end, or headers that are too long.
	hostile := []string{"", "GET http://origin.exa", "GET http://origin.example/ HTTP/1.1\r\nX: y\r\n", "GET http://origin.example/ HTTP/1.1\r\nX: " + strings.Repeat("y", 31<<10)}
	const each = 600
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
	t.Logf("Squid's memory: %d MiB idle, %d with %d tunnels (%d kB each), %d with %d hostile connections on top (%d kB each)", idle>>20, withTunnels>>20, tunnels, (withTunnels-idle)/tunnels/1000,
		full>>20, each*len(hostile), (full-withTunnels)/(each*len(hostile))/1000)
	if full > 400<<20 {
		t.Errorf("%d MiB, of the 512 of the smallest task", full>>20)
	}
}

func TestHeadersBeyondTheLimitAreRefused(t *testing.T) {
	newWorld(t)
	task := rig.StartTask(t, options(nil))
	for size, want := range map[int]bool{20 << 10: true, 40 << 10: false, 200 << 10: false} {
		response, err := client(task).Request("GET", "http://origin.example/", "X-Long: "+strings.Repeat("x", size))
		if ok := err == nil && response.StatusCode == 200; ok != want {
			t.Errorf("headers of %d bytes: %+v, %v", size, response, err)
		}
	}
}

// A connection that does not get on with its request is closed: after 15 seconds without a PROXY header, after 30 without a whole request.
func TestConnectionsThatSendNothingAreClosed(t *testing.T) {
	newWorld(t)
	task := rig.StartTask(t, options(nil))
	type end struct {
		name  string
		after time.Duration
		err   error
	}
	ends := make(chan end)
	silent := client(task)
	silent.Header = nil
	connections := map[string]struct {
		who   rig.Client
		bytes string
	}{
		"no PROXY header": {silent, ""},
		"no request":      {client(task), ""},
		"half a request":  {client(task), "GET http://origin.example/ HTTP/1.1\r\n"},
	}
	for name, c := range connections {
		conn, err := c.who.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			begin := time.Now()
			io.WriteString(conn, c.bytes)
			conn.SetDeadline(begin.Add(time.Minute))
			_, err := io.Copy(io.Discard, conn)
			ends <- end{name, time.Since(begin), err}
		}()
	}
	for range connections {
		e := <-ends
		t.Logf("%s: closed after %s", e.name, e.after.Round(time.Second))
		if e.err != nil && os.IsTimeout(e.err) {
			t.Errorf("%s: still open after a minute", e.name)
		}
	}
}
