package nlb

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"
)

func TestAnIdleConnectionIsResetOnBothSides(t *testing.T) {
	t.Parallel()
	c := quick()
	c.IdleTimeout = 200 * time.Millisecond
	r := newRig(t, c)
	k := newBackend(t, "a")
	ended := make(chan error, 1)
	k.serve = func(c *net.TCPConn, in *bufio.Reader) {
		c.Write([]byte("a\n"))
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}
	r.add("", k)
	begin := time.Now()
	r.dial(r.addr).wantReset()
	if took := time.Since(begin); took < c.IdleTimeout-20*time.Millisecond { // the kernel counts in ticks
		t.Errorf("reset after %v, before the timeout of %v", took, c.IdleTimeout)
	}
	wantReset(t, errorReader{<-ended})
	if n := r.Stats().IdleReset; n != 1 {
		t.Errorf("%d counted", n)
	}
}

// fixedMeter is a connection that has been idle for a given time.
type fixedMeter time.Duration

func (fixedMeter) source(t *net.TCPConn) io.Reader { return t }
func (m fixedMeter) idle() time.Duration           { return time.Duration(m) }

func TestOnlyIdleConnectionsAreSwept(t *testing.T) {
	t.Parallel()
	c := quick()
	r := newRig(t, c)
	r.add("", newBackend(t, "a"))
	busy, idle := r.dial(r.addr), r.dial(r.addr)
	for k := range r.conns {
		k.mu.Lock()
		k.meter = fixedMeter(c.IdleTimeout - 1)
		if k.from == addrPort(idle.LocalAddr()) {
			k.meter = fixedMeter(c.IdleTimeout)
		}
		k.mu.Unlock()
	}
	r.sweep()
	idle.wantReset()
	busy.echo()
}

// pair returns the two ends of a connection on loopback.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

func TestMetersSeeDataOnEitherSide(t *testing.T) {
	t.Parallel()
	client, clientNear := pair(t)
	upstreamNear, upstream := pair(t)
	const (
		quiet = 300 * time.Millisecond
		slack = 50 * time.Millisecond // the kernel counts in ticks of up to 10 ms
	)
	for name, m := range map[string]meter{
		"of this system": newMeter(clientNear, upstreamNear),
		"counting":       newCountingMeter(),
	} {
		toUpstream, toClient := m.source(clientNear), m.source(upstreamNear)
		for side, move := range map[string]func(){
			"client to target": func() { relayByte(t, client, toUpstream, upstreamNear, upstream) },
			"target to client": func() { relayByte(t, upstream, toClient, clientNear, client) },
		} {
			for start := time.Now(); m.idle() < quiet; time.Sleep(10 * time.Millisecond) {
				if time.Since(start) > patience {
					t.Fatalf("meter %s never became idle", name)
				}
			}
			begin := time.Now()
			move()
			idle := m.idle()
			if since := time.Since(begin); idle > since+slack {
				t.Errorf("meter %s: idle for %v although data moved %s less than %v ago", name, idle, side, since)
			}
		}
	}
}

// relayByte sends one byte from one end through a meter's source to the other.
func relayByte(t *testing.T, from io.Writer, source io.Reader, through io.Writer, to io.Reader) {
	t.Helper()
	one := make([]byte, 1)
	if _, err := from.Write(one); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(through, source, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, one); err != nil {
		t.Fatal(err)
	}
}
