package nlb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// listeners are one of each kind.
func listeners() []Config { return []Config{quick(), overTLS()} }

// What a client sends is passed on whole, a PROXY header of its own too, and each way ends by
// itself.
func TestWhatAClientSendsIsPassedOnAsData(t *testing.T) {
	t.Parallel()
	for _, kind := range listeners() {
		r := newRig(t, kind)
		k := newBackend(t, "a")
		r.add(k)
		c := r.dial()
		much := make([]byte, 8<<20)
		rand.NewChaCha8([32]byte{}).Read(much)
		forged := proxyHeader(netip.MustParseAddrPort("10.1.2.3:4"), netip.MustParseAddrPort("10.1.2.4:5"))
		sent := append(forged, much...)
		go func() {
			c.Write(sent)
			c.CloseWrite()
		}()
		got, err := io.ReadAll(c.reader)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes came back of %d, equal: %v, error: %v", len(got), len(sent), bytes.Equal(got, sent), err)
		}
		if from := addrPort(k.lastClient().header.SourceAddr); from != addrPort(c.LocalAddr()) {
			t.Errorf("the client is presented as %v, want %v", from, c.LocalAddr())
		}
	}
}

func TestATargetThatHasEndedStillHearsTheClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	k := newBackend(t, "a")
	heard := make(chan string, 1)
	k.serve = func(c *net.TCPConn, in *bufio.Reader) {
		c.Write([]byte("a\n"))
		c.CloseWrite()
		all, _ := io.ReadAll(in)
		heard <- string(all)
	}
	r.add(k)
	c := r.dial()
	if rest, err := io.ReadAll(c.reader); len(rest) != 0 || err != nil {
		t.Fatalf("the target's end: got %q, %v", rest, err)
	}
	c.Write([]byte("still "))
	c.Write([]byte("talking"))
	c.CloseWrite()
	if got := <-heard; got != "still talking" {
		t.Errorf("the target heard %q", got)
	}
}

func TestAResetReachesTheOtherSide(t *testing.T) {
	t.Parallel()
	for _, kind := range listeners() {
		r := newRig(t, kind)
		k := newBackend(t, "a")
		ended := make(chan error, 1)
		k.serve = func(c *net.TCPConn, in *bufio.Reader) {
			c.Write([]byte("a\n"))
			if _, err := in.ReadByte(); err != nil {
				ended <- err
				return
			}
			resetTCP(c)
		}
		r.add(k)
		breaks := map[string]func(*client){"is reset": func(c *client) { resetTCP(c.socket) }}
		if kind.TLS != nil {
			breaks["says what is no TLS"] = func(c *client) { io.WriteString(c.socket, "plain text, and no record") }
			breaks["continues with a lie"] = func(c *client) { c.socket.Write([]byte{23, 3, 3, 0, 1, 0}) }
		}
		for what, breaks := range breaks {
			breaks(r.dial())
			if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client %s: the target got %v, want a reset", what, err)
			}
		}
		c := r.dial()
		c.Write([]byte{1})
		c.wantReset()
	}
}

// What is no TLS, or does not come, never reaches a target.
func TestATLSListenerTakesNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, overTLS())
	k := newBackend(t, "a")
	r.add(k)
	c, err := net.Dial("tcp", r.addr)
	must.OK(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
	io.ReadAll(c) // until it is closed
	r.await("the end of the connection", func(all []TargetHealth) bool { return all[0].Open == 0 })
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.clients) > 0 {
		t.Errorf("the target saw %d connections", len(k.clients))
	}
}

func TestARefusedConnectionIsNotTriedElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r.add(a, b)
	a.refuse()
	r.wantRefusal()
	if got := r.spread(1); !maps.Equal(got, map[string]int{"b": 1}) {
		t.Errorf("the second went to %v", got)
	}
	if n := r.target("a").ConnectFailures; n != 1 {
		t.Errorf("%d failures counted", n)
	}
}
