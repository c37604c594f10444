package nlb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"squidfleet/internal/must"
)

func TestFlowHashIsEvenOverManyConnectionsAndNotStrict(t *testing.T) {
	t.Parallel()
	c := Defaults()
	c.Nodes = []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
	b := New(c)
	t.Cleanup(b.Close)
	for i := range 4 {
		b.targets = append(b.targets, &target{Target: Target{ID: fmt.Sprint(i)}, checked: Healthy, routed: true})
	}
	count := map[string]int{} // of a node with a target
	turns, last := 0, ""
	client := netip.MustParseAddrPort("198.51.100.7:40000")
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range 10_000 {
		node, chosen := b.choose(client, uint64(i))
		if chosen.ID != last {
			turns++
		}
		last = chosen.ID
		count[node.String()+chosen.ID]++
	}
	for pair, n := range count {
		if n < 1017 || n > 1483 { // 7 standard deviations
			t.Errorf("%s got %d of 10,000", pair, n)
		}
	}
	if len(count) != 8 {
		t.Errorf("used %v", count)
	}
	if turns < 7000 || turns > 8000 {
		t.Errorf("the target changed %d times in 10,000, want about 7,500", turns)
	}
}

// They keep the connections that they have.
func TestUnhealthyTargetsGetNothingNewUntilAllAreUnhealthy(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add(newBackend(t, "a"), newBackend(t, "b"))
	toA := r.dial()
	r.fail("a")
	if got := r.spread(4); !maps.Equal(got, map[string]int{"b": 4}) {
		t.Errorf("a unhealthy: %v, want b only", got)
	}
	r.fail("b")
	if got := r.spread(4); !maps.Equal(got, map[string]int{"a": 2, "b": 2}) {
		t.Errorf("both unhealthy: %v, want both to be used", got)
	}
	toA.echo()
	r.succeed("a")
	if got := r.spread(4); !maps.Equal(got, map[string]int{"a": 4}) {
		t.Errorf("a recovered: %v, want a only", got)
	}
}

func TestWithoutATargetTheClientIsReset(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.wantRefusal()
	r.insert("a", newBackend(t, "a").addr)
	r.wantRefusal() // an initial target is not one to fail open to
}

func TestConnectionsComeFromTheNodesAddressAndNameIt(t *testing.T) {
	t.Parallel()
	c := quick()
	c.Nodes = []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
	public := netip.MustParseAddrPort("198.51.100.7:50000")
	c.ClientAddr = func(net.Conn) netip.AddrPort { return public }
	r := newRig(t, c)
	backends := []*backend{newBackend(t, "in-a"), newBackend(t, "in-b")}
	r.add(backends[0])
	r.add(backends[1])
	r.spread(2)
	port := netip.MustParseAddrPort(r.addr).Port()
	for i, node := range c.Nodes {
		s, name := backends[i].lastClient(), backends[i].name
		if s.remote.Addr() != node {
			t.Errorf("%s was connected to from %v, want %v", name, s.remote, node)
		}
		if got, want := addrPort(s.header.DestinationAddr), netip.AddrPortFrom(node, port); got != want {
			t.Errorf("%s: the header's destination is %v, want %v", name, got, want)
		}
		if got := addrPort(s.header.SourceAddr); got != public {
			t.Errorf("%s: the client is presented as %v, want %v", name, got, public)
		}
		if from := backends[i].checked(1)[0].remote.Addr(); from != c.Nodes[0] {
			t.Errorf("%s was checked from %v, want %v", name, from, c.Nodes[0])
		}
	}
}

// Not parallel: it looks at all goroutines of the process.
func TestCloseEndsEverything(t *testing.T) {
	c := quick()
	c.DeregistrationLag = MaxDeregistrationLag
	r := newRig(t, c)
	b := r.Balancer
	r.add(newBackend(t, "a"), newBackend(t, "b"))
	must.OK(t, r.Deregister("b"))
	open := []*client{r.dial(), r.dial()}
	waiting := make(chan error, 1)
	go func() { waiting <- b.WaitState(context.Background(), "a", Unhealthy) }()

	b.Close()
	for _, c := range open {
		c.wantReset()
	}
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("WaitState returned %v", err)
	}
	for what, err := range map[string]error{
		"Register": b.Register(Target{ID: "c", Addr: newBackend(t, "c").addr}), "Deregister": b.Deregister("a"),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	late, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	if err := b.Serve(late); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener of a Serve after Close: %v", err)
	}
	b.Close()

	must.Await(t, "all goroutines to end", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !bytes.Contains(stacks, []byte("nlb.(*Balancer).")) && !bytes.Contains(stacks, []byte("nlb.(*conn)."))
	})
}
