package nlb

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto/tlvparse"
)

func TestTheHeaderTellsTheClientAndTheListener(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	k := newBackend(t, "a")
	r.add("", k)
	c := r.dial(r.addr)
	s := k.lastClient()
	equalBytes(t, s.raw, proxyHeader(addrPort(c.LocalAddr()), netip.MustParseAddrPort(r.addr), ""))
}

func TestTheClientsAddressCanBePresentedDifferently(t *testing.T) {
	t.Parallel()
	public := netip.MustParseAddrPort("198.51.100.7:50000")
	for _, given := range []netip.AddrPort{public, {}} {
		c := quick()
		c.VPCEndpointID = "vpce-0123456789abcdef0"
		c.ClientAddr = func(net.Conn) netip.AddrPort { return given }
		r := newRig(t, c)
		k := newBackend(t, "a")
		r.add("", k)
		want := addrPort(r.dial(r.addr).LocalAddr())
		if given.IsValid() {
			want = given
		}
		s := k.lastClient()
		if got := addrPort(s.header.SourceAddr); got != want {
			t.Errorf("presented as %v, want %v", got, want)
		}
		tlvs, err := s.header.TLVs()
		if got := tlvparse.FindAWSVPCEndpointID(tlvs); err != nil || got != c.VPCEndpointID {
			t.Errorf("endpoint %q, %v", got, err)
		}
	}
}

func TestAHeaderSentByTheClientIsPassedOnAsData(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"))
	c := r.dial(r.addr)
	forged := proxyHeader(netip.MustParseAddrPort("10.1.2.3:4"), netip.MustParseAddrPort("10.1.2.4:5"), "")
	if _, err := c.Write(forged); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(forged))
	if _, err := io.ReadFull(c.reader, back); err != nil {
		t.Fatal(err)
	}
	equalBytes(t, back, forged)
}

func TestMuchDataArrivesWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"))
	c := r.dial(r.addr)
	sent := make([]byte, 8<<20)
	source := rand.NewChaCha8([32]byte{})
	source.Read(sent)
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
	r.add("", k)
	c := r.dial(r.addr)
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

func TestAClientThatHasEndedStillGetsItsAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	k := newBackend(t, "a")
	k.serve = func(c *net.TCPConn, in *bufio.Reader) {
		c.Write([]byte("a\n"))
		all, _ := io.ReadAll(in)
		c.Write(append([]byte("heard "), all...))
	}
	r.add("", k)
	c := r.dial(r.addr)
	c.Write([]byte("all"))
	c.CloseWrite()
	if got, err := io.ReadAll(c.reader); string(got) != "heard all" || err != nil {
		t.Errorf("after the client's end: got %q, %v", got, err)
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
	r.add("", k)
	resetTCP(r.dial(r.addr).TCPConn)
	wantReset(t, errorReader{<-ended})
	wantUncounted(t, r)
}

func TestTheTargetsResetReachesTheClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	k := newBackend(t, "a")
	k.serve = func(c *net.TCPConn, in *bufio.Reader) {
		c.Write([]byte("a\n"))
		resetTCP(c)
	}
	r.add("", k)
	if c, err := r.try(r.addr); err == nil {
		c.wantReset()
	} else {
		wantReset(t, errorReader{err}) // so early that even the first line was lost
	}
	wantUncounted(t, r)
}

// wantUncounted proves that an end which came from one of the sides is not
// counted as one that the load balancer decided.
func wantUncounted(t *testing.T, r *rig) {
	t.Helper()
	if s := r.Stats(); s != (Stats{Open: s.Open, Accepted: 1}) {
		t.Errorf("stats %+v, want nothing but one accepted", s)
	}
}

// errorReader is a connection that ended with err.
type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) {
	if r.err == nil {
		return 0, io.EOF
	}
	return 0, r.err
}

func TestARefusedConnectionIsNotTriedElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r.add("", a, b)
	a.refuse()
	r.wantRefusal(r.addr)
	if got := r.spread(r.addr, 1); !maps.Equal(got, map[string]int{"b": 1}) {
		t.Errorf("the second went to %v", got)
	}
	h := r.target("a")
	if s := r.Stats(); s.ConnectFailed != 1 || h.ConnectFailures != 1 || h.Total != 1 {
		t.Errorf("%d failures counted, %d of %d of the target's", s.ConnectFailed, h.ConnectFailures, h.Total)
	}
}

func TestConnectionsBeyondTheLimitAreReset(t *testing.T) {
	t.Parallel()
	c := quick()
	c.MaxConnections = 1
	r := newRig(t, c)
	r.add("", newBackend(t, "a"))
	first := r.dial(r.addr)
	r.wantRefusal(r.addr)
	first.echo()
	first.Close()
	if err := r.Wait(soon(t), func(all []TargetHealth) bool { return all[0].Open == 0 }); err != nil {
		t.Fatal(err)
	}
	r.dial(r.addr).echo()
	if s := r.Stats(); s.OverLimit != 1 || s.Accepted != 3 {
		t.Errorf("stats %+v", s)
	}
}
