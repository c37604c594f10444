package nlb

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// silentListener returns an address that does not answer a connection: its queue
// of two is full, and then Linux drops what arrives.
func silentListener(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port))
	for range 10 {
		c, err := net.DialTimeout("tcp", addr.String(), 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the listener's queue does not fill up")
	return addr
}

func TestATargetThatDoesNotAnswerCostsTheClientItsConnectionInTime(t *testing.T) {
	t.Parallel()
	c := quick()
	c.ConnectTimeout = 100 * time.Millisecond
	c.RegistrationDelay = 100 * patience
	r := newRig(t, c)
	if err := r.Register(Target{ID: "a", Addr: silentListener(t)}); err != nil {
		t.Fatal(err)
	}
	r.succeed("a")
	r.wantRefusal(r.addr)
	if n := r.Stats().ConnectFailed; n != 1 {
		t.Errorf("%d failures counted", n)
	}
}

func TestAConnectionThatIsStillBeingMadeIsTerminatedToo(t *testing.T) {
	t.Parallel()
	c := quick()
	c.RegistrationDelay = 100 * patience
	c.ConnectTimeout = 100 * patience
	c.DeregistrationDelay = 0
	c.TerminateOnDeregistration = true
	r := newRig(t, c)
	if err := r.Register(Target{ID: "a", Addr: silentListener(t)}); err != nil {
		t.Fatal(err)
	}
	r.succeed("a")
	waiting, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	waiting.SetDeadline(time.Now().Add(patience))
	if err := r.Wait(soon(t), func(all []TargetHealth) bool { return all[0].Open == 1 }); err != nil {
		t.Fatal(err)
	}
	if err := r.Deregister("a"); err != nil {
		t.Fatal(err)
	}
	wantReset(t, waiting)
	if err := r.Wait(soon(t), func(all []TargetHealth) bool { return len(all) == 0 }); err != nil {
		t.Fatalf("it goes on connecting: %v", err)
	}
	if s := r.Stats(); s.TerminatedReset != 1 || s.ConnectFailed != 0 {
		t.Errorf("stats %+v, want one terminated and no failure", s)
	}
}

func TestATargetThatDoesNotAnswerFailsItsCheckInTime(t *testing.T) {
	t.Parallel()
	c := quick()
	c.HealthCheck.Timeout = 100 * time.Millisecond
	r := newRig(t, c)
	if err := r.Register(Target{ID: "a", Addr: silentListener(t)}); err != nil {
		t.Fatal(err)
	}
	r.state("a", Unhealthy)
	if d := r.target("a").Description; !strings.Contains(d, "timeout") {
		t.Errorf("description %q, want a timeout", d)
	}
}

// A server that refuses an upload answers and closes without reading on: its
// kernel sends the answer, then a reset. The answer must not be lost to it, and
// the reset must not look like an end in good order.
func TestAnAnswerSentBeforeAResetArrives(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	k := newBackend(t, "a")
	answer := bytes.Repeat([]byte("too large\n"), 1000)
	stuck := make(chan bool)
	k.serve = func(c *net.TCPConn, in *bufio.Reader) {
		c.Write([]byte("a\n"))
		<-stuck
		c.Write(answer)
	}
	r.add("", k)
	for range 10 {
		c := r.dial(r.addr)
		// Fill every buffer on the way, so that the load balancer is writing when the
		// reset comes, and the client is not: each reset is reported only once.
		for some := make([]byte, 1<<20); ; {
			c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := c.Write(some); err != nil {
				break
			}
		}
		stuck <- true
		got := make([]byte, len(answer))
		if n, err := io.ReadFull(c.reader, got); err != nil {
			t.Fatalf("%d of %d bytes of the answer arrived: %v", n, len(answer), err)
		}
		c.wantReset()
	}
}

// A target that has ended in good order, and then resets what the client still
// sends, resets the client.
func TestAResetAfterAnEndOfDataReachesTheClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	k := newBackend(t, "a")
	k.serve = func(c *net.TCPConn, in *bufio.Reader) { c.Write([]byte("a\n")) }
	r.add("", k)
	c := r.dial(r.addr)
	if _, err := io.Copy(io.Discard, c.reader); err != nil {
		t.Fatal(err)
	}
	_, upstream := r.sockets()
	c.Write([]byte{1}) // provokes the reset
	waitFor(t, "the target's reset", func() bool { return aborted(upstream) })
	c.Write([]byte{1}) // lets the load balancer notice
	waitFor(t, "the client's reset", func() bool { return aborted(c.TCPConn) })
}

// Anything but the bare sockets would copy in this process.
func TestDataIsSplicedInTheKernel(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	m := newMeter(near, far)
	if m.source(near) != any(near) || m.source(far) != any(far) {
		t.Error("the meter stands between the sockets")
	}
}

func TestTheLoadBalancerSendsNoKeepalives(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"))
	r.dial(r.addr).echo()
	client, upstream := r.sockets()
	for side, s := range map[string]*net.TCPConn{"client": client, "target": upstream} {
		if on := option(t, s, unix.SOL_SOCKET, unix.SO_KEEPALIVE); on != 0 {
			t.Errorf("keepalive towards the %s is %d", side, on)
		}
	}
}

func TestSourcePortsAreChosenLate(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"))
	r.dial(r.addr).echo()
	_, upstream := r.sockets()
	if on := option(t, upstream, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT); on != 1 {
		t.Errorf("IP_BIND_ADDRESS_NO_PORT is %d", on)
	}
}

// sockets returns the load balancer's two sockets of its only connection.
func (r *rig) sockets() (client, upstream *net.TCPConn) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.conns) != 1 {
		r.t.Fatalf("%d connections", len(r.conns))
	}
	for c := range r.conns {
		c.mu.Lock()
		client, upstream = c.client, c.upstream
		c.mu.Unlock()
	}
	return client, upstream
}

func option(t *testing.T, c *net.TCPConn, level, name int) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var value int
	var getErr error
	if err := raw.Control(func(fd uintptr) { value, getErr = unix.GetsockoptInt(int(fd), level, name) }); err != nil || getErr != nil {
		t.Fatal(err, getErr)
	}
	return value
}

func TestAbortedTellsAResetFromAnEndOfData(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	if aborted(near) {
		t.Error("an open connection counts as aborted")
	}
	far.CloseWrite()
	near.Read(make([]byte, 1)) // waits for the end of data
	if aborted(near) {
		t.Error("a half-closed connection counts as aborted")
	}
	resetTCP(far)
	waitFor(t, "the reset to arrive", func() bool { return aborted(near) })
}

func TestGoneTellsTheDeadFromTheLiving(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	if gone(near) {
		t.Error("a quiet connection counts as gone")
	}
	far.Write([]byte{1})
	one := make([]byte, 1)
	waitFor(t, "data to arrive", func() bool { return !gone(near) })
	near.Read(one)
	resetTCP(far)
	waitFor(t, "the reset to arrive", func() bool { return gone(near) })
	closed, _ := pair(t)
	closed.Close()
	if !gone(closed) {
		t.Error("a closed connection does not count as gone")
	}
}
