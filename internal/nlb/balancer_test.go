package nlb

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime"
	"testing"

	"squidfleet/internal/must"
)

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
