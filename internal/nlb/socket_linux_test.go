package nlb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"squidfleet/internal/must"
)

// silentListener returns an address that does not answer a connection: its queue
// of two is full, and then Linux drops what arrives.
func silentListener(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must.OK(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must.OK(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must.OK(t, unix.Listen(fd, 0))
	name, err := unix.Getsockname(fd)
	must.OK(t, err)
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

func TestAConnectionThatIsStillBeingMadeIsResetToo(t *testing.T) {
	t.Parallel()
	c := quick()
	c.ConnectTimeout = 100 * patience
	c.DeregistrationDelay = 0
	r := newRig(t, c)
	r.insert("a", silentListener(t))
	r.succeed("a")
	waiting, err := net.Dial("tcp", r.addr)
	must.OK(t, err)
	defer waiting.Close()
	waiting.SetDeadline(time.Now().Add(patience))
	r.await("the connection", func(all []TargetHealth) bool { return all[0].Open == 1 })
	r.deregister("a")
	if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
	r.await("the end of connecting", func(all []TargetHealth) bool { return len(all) == 0 })
}

// A server that refuses an upload answers and closes without reading on: its kernel sends the
// answer, then a reset. Both must arrive.
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
	r.add(k)
	for range 10 {
		c := r.dial()
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
	r.add(k)
	c := r.dial()
	_, err := io.Copy(io.Discard, c.reader)
	must.OK(t, err)
	_, upstream := r.sockets()
	c.Write([]byte{1}) // provokes the reset
	must.Await(t, "the target's reset", func() bool { return aborted(upstream) })
	c.Write([]byte{1}) // lets the load balancer notice
	must.Await(t, "the client's reset", func() bool { return aborted(c.socket) })
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

// Neither shows in what a client sees: no keepalive of the load balancer's own, and source ports
// that are chosen late.
func TestSocketOptions(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add(newBackend(t, "a"))
	r.dial().echo()
	client, upstream := r.sockets()
	for _, c := range []struct {
		side              *net.TCPConn
		level, name, want int
	}{
		{client, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0}, {upstream, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0},
		{upstream, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1},
	} {
		raw, err := c.side.SyscallConn()
		must.OK(t, err)
		raw.Control(func(fd uintptr) {
			if value, err := unix.GetsockoptInt(int(fd), c.level, c.name); err != nil || value != c.want {
				t.Errorf("option %d of %v is %d, %v; want %d", c.name, c.side.RemoteAddr(), value, err, c.want)
			}
		})
	}
}
