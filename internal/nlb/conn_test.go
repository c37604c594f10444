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
)

// What a client sends is passed on whole, a PROXY header of its own too.
func TestWhatAClientSendsIsPassedOnAsData(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add(newBackend(t, "a"))
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

func TestTheClientsResetReachesTheTarget(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	k := newBackend(t, "a")
	ended := make(chan error, 1)
	k.serve = func(c *net.TCPConn, in *bufio.Reader) {
		c.Write([]byte("a\n"))
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}
	r.add(k)
	resetTCP(r.dial().TCPConn)
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestTheTargetsResetReachesTheClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	k := newBackend(t, "a")
	k.serve = func(c *net.TCPConn, in *bufio.Reader) {
		c.Write([]byte("a\n"))
		resetTCP(c)
	}
	r.add(k)
	// It may come so early that even the first line is lost.
	if c, err := r.try(); err == nil {
		c.wantReset()
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
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
