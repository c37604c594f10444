package nlb

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Not parallel: it looks at all goroutines of the process.
func TestCloseEndsEverything(t *testing.T) {
	c := quick()
	c.DeregistrationLag = MaxDeregistrationLag
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Balancer: b, t: t}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	r.add("", newBackend(t, "a"), newBackend(t, "b"))
	if err := r.Deregister("b"); err != nil {
		t.Fatal(err)
	}
	open := []*client{r.dial(l.Addr().String()), r.dial(l.Addr().String())}
	waiting := make(chan error, 1)
	go func() { waiting <- b.WaitState(context.Background(), "a", Unhealthy) }()

	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range open {
		c.wantReset()
	}
	if err := <-served; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("WaitState returned %v", err)
	}
	for what, err := range map[string]error{
		"Register":   b.Register(Target{ID: "c", Addr: newBackend(t, "c").addr}),
		"Deregister": b.Deregister("a"),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	late, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(late); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener of a Serve after Close: %v", err)
	}
	if s := b.Stats(); s.Open != 0 {
		t.Errorf("%d connections are still counted as open", s.Open)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}

	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		for _, method := range []string{"nlb.(*Balancer).", "nlb.(*conn)."} {
			if strings.Contains(stack, method) {
				t.Errorf("left behind:\n%s", stack)
				break
			}
		}
	}
}

func TestAcceptingGoesOnAfterAPassingError(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"))
	address := r.listen(func(l net.Listener) error { return r.Serve(&faltering{Listener: l}) })
	r.dial(address).echo()
}

// faltering fails its first three Accepts as if there were no descriptors left.
type faltering struct {
	net.Listener
	calls atomic.Int32
}

func (l *faltering) Accept() (net.Conn, error) {
	if l.calls.Add(1) <= 3 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestServeReportsAListenerThatCannotWork(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if err := r.Serve(closed); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener: %v", err)
	}
	if err := r.Serve(&pipes{}); err == nil || !strings.Contains(err.Error(), "plain TCP listener") {
		t.Errorf("a listener of something else: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ServeZone(l, "z"); err == nil || !strings.Contains(err.Error(), `"z" is not enabled`) {
		t.Errorf("an unknown zone: %v", err)
	}
	l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener of an unknown zone: %v", err)
	}
}

// pipes accepts connections that are not TCP.
type pipes struct{}

func (*pipes) Accept() (net.Conn, error) { c, _ := net.Pipe(); return c, nil }
func (*pipes) Close() error              { return nil }
func (*pipes) Addr() net.Addr            { return &net.UnixAddr{Name: "pipes", Net: "unix"} }
