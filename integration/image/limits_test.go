package image

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// One address opens all it can in Fargate's smallest task, until Squid has no descriptor left. The
// container lives, and another address is served once the first unfinished requests time out.
func TestOneAddressCannotUseUpTheSmallestTask(t *testing.T) { t.Log(besiege(t)) }

// besiege has one address open all it can, and returns what that came to.
func besiege(t testing.TB) string {
	const descriptors, perClient = 5120, 1024
	rig.StartOrigins(t, []int{80, 443}, nil)
	p := start(t, inSecrets)
	attacker, other := p.client(), p.client()
	attacker.Header = rig.ProxyHeader(netip.MustParseAddr("198.51.100.99"))
	begin := time.Now()
	siege := rig.Besiege(t, attacker, "151.101.1.69:443", perClient/2, descriptors)
	if siege.Tunnels != perClient-siege.Idle {
		t.Errorf("%d tunnels next to %d idle connections, of %d", siege.Tunnels, siege.Idle, perClient)
	}
	memory := p.memory()
	for served := false; !served; {
		response, err := other.Request("GET", "http://151.101.1.69/")
		served = err == nil && response.StatusCode == 200
		if time.Since(begin) > time.Minute {
			t.Fatalf("another address is not served: %+v, %v", response, err)
		}
	}
	served := time.Since(begin)
	siege.Close()
	const burst = descriptors - 200
	rig.Burst(t, attacker, p.squidPid(), burst)
	afterwards := p.memory()
	if response := p.get("http://151.101.1.69/"); response.StatusCode != 200 {
		t.Error(response.Status)
	}
	if memory > 420 {
		t.Errorf("all processes have %.0f MB, of the 537 of the smallest task", memory)
	}
	if p.inspect("{{.State.OOMKilled}}") != "false" {
		t.Error("out of memory")
	}
	return fmt.Sprintf(""+
		"One address opens what it can: %s.\n"+
		"The task's processes then have %.0f MB, and another address is served after %.0f s.\n"+
		"When one address completes long headers on %d connections at the same moment, they have %.0f MB, and\n"+
		"the next client is served.\n", siege, memory, served.Seconds(), burst, afterwards)
}

// An upload faster than its destination waits in the network. Squid before 6.13 mistakes its own
// full buffer for the client's end and gives the request up (bug 5405).
func TestAnUploadFasterThanItsDestinationGetsThrough(t *testing.T) {
	const size = 500_000_000
	origins := rig.StartOrigins(t, []int{80}, nil)
	origins.SetHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, " ", err)
	}))
	c := start(t, inSecrets).client()
	const target = "http://151.101.1.69/"
	conn, err := c.Send("POST", target, fmt.Sprint("Content-Length: ", size))
	must.OK(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	piece := make([]byte, 1_000_000)
	for sent := 0; sent < size; sent += len(piece) {
		if _, err := conn.Write(piece); err != nil {
			t.Fatalf("after %d bytes: %v", sent, err)
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must.OK(t, err)
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != fmt.Sprint(size, " ", nil) {
		t.Errorf("%s: %q, %v", response.Status, body, err)
	}
}

// A task that runs out of memory ends with an error and does not hang.
func TestOutOfMemoryEndsTheContainer(t *testing.T) {
	rig.StartOrigins(t, []int{443}, nil)
	p := start(t, inSecrets, "--memory=48m", "--memory-swap=48m")
	const enough = 2500 // tunnels
	for n := range enough {
		c := p.client()
		c.Header = rig.ProxyHeader(netip.AddrFrom4([4]byte{198, 51, 100, byte(20 + n%4)})) // within each one's share
		conn, _, err := c.Tunnel("151.101.1.69:443")
		if err != nil {
			t.Logf("out of memory with %d tunnels", n)
			break
		}
		if conn != nil {
			defer conn.Close()
		}
	}
	if code := p.wait(); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
}
