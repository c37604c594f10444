package nlb

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"squidfleet/internal/must"
)

// patience is how long a test waits for what must happen. Only a failing test uses it up.
const patience = 30 * time.Second

// seen is a connection as a backend saw it.
type seen struct {
	header *proxyproto.Header
	remote netip.AddrPort
}

// backend is a target. To each connection with a PROXY header it says its name in a line and then
// echoes, unless serve is set.
type backend struct {
	t     *testing.T
	name  string
	addr  netip.AddrPort
	serve func(*net.TCPConn, *bufio.Reader)

	mu       sync.Mutex
	listener net.Listener
	checks   []seen // LOCAL
	clients  []seen // PROXY
}

func newBackend(t *testing.T, name string) *backend {
	t.Helper()
	k := &backend{t: t, name: name, addr: netip.MustParseAddrPort("127.0.0.1:0")}
	k.accept()
	t.Cleanup(k.refuse)
	return k
}

// accept listens, again at the address that it had before.
func (k *backend) accept() {
	k.t.Helper()
	l, err := net.Listen("tcp", k.addr.String())
	must.OK(k.t, err)
	k.mu.Lock()
	k.listener, k.addr = l, addrPort(l.Addr())
	k.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go k.handle(c.(*net.TCPConn))
		}
	}()
}

// refuse closes the listener only: new connections are refused, old ones live on.
func (k *backend) refuse() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listener.Close()
}

func (k *backend) handle(c *net.TCPConn) {
	defer c.Close()
	r := bufio.NewReader(c)
	s := seen{remote: addrPort(c.RemoteAddr())}
	var err error
	if s.header, err = proxyproto.Read(r); err != nil {
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, net.ErrClosed) {
			k.t.Errorf("backend %s: header: %v", k.name, err)
		}
		return
	}
	local := s.header.Command.IsLocal()
	k.mu.Lock()
	if local {
		k.checks = append(k.checks, s)
	} else {
		k.clients = append(k.clients, s)
	}
	k.mu.Unlock()
	switch {
	case local:
	case k.serve != nil:
		k.serve(c, r)
	default:
		fmt.Fprintln(c, k.name)
		io.Copy(c, r)
	}
}

func (k *backend) lastClient() seen {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.clients[len(k.clients)-1]
}

// checked waits until at least n health checks have arrived, and returns them all. A target can be
// healthy a moment before: the kernel accepts a connection before the backend does.
func (k *backend) checked(n int) []seen {
	k.t.Helper()
	var all []seen
	must.Await(k.t, "health checks to arrive", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		all = append([]seen(nil), k.checks...)
		return len(all) >= n
	})
	return all
}

// quick is a configuration in which one passed check makes a target healthy, and then no check
// follows: the tests decide what happens next.
func quick() Config {
	c := Defaults()
	c.RoundRobin = true
	c.HealthCheck = HealthCheck{time.Hour, patience, 1, 1}
	c.IdleTimeout = time.Hour
	c.ConnectTimeout = patience
	return c
}

// overTLS is quick with a TLS listener.
func overTLS() Config {
	server := httptest.NewTLSServer(nil) // for its certificate
	server.Close()
	c := quick()
	c.TLS = &tls.Config{Certificates: server.TLS.Certificates}
	return c
}

type rig struct {
	*Balancer
	t    *testing.T
	addr string
}

func newRig(t *testing.T, c Config) *rig {
	t.Helper()
	r := &rig{Balancer: New(c), t: t}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	r.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- r.Serve(&faltering{Listener: l}) }()
	t.Cleanup(func() {
		r.Close()
		if err := <-done; err != nil && !errors.Is(err, ErrClosed) { // a short test may close first
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

// faltering fails its first Accept as if there were no descriptors left: accepting must go on.
type faltering struct {
	net.Listener
	called atomic.Bool
}

func (l *faltering) Accept() (net.Conn, error) {
	if !l.called.Swap(true) {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func (r *rig) state(id string, want State) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := r.WaitState(ctx, id, want); err != nil {
		r.t.Fatalf("target %s is to become %s: %v", id, want, err)
	}
}

func (r *rig) await(what string, done func([]TargetHealth) bool) {
	r.t.Helper()
	must.Await(r.t, what, func() bool { return done(r.Targets()) })
}

// insert adds a target that is never checked: fail and succeed decide about it.
func (r *rig) insert(id string, addr netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.targets = append(r.targets, &target{
		Target: Target{ID: id, Addr: addr}, checked: Initial, registered: true, routed: true,
		stopChecks: func() {}, conns: map[*conn]struct{}{},
	})
}

// add registers backends by name, and waits until they are healthy.
func (r *rig) add(backends ...*backend) {
	r.t.Helper()
	for _, k := range backends {
		must.OK(r.t, r.Register(Target{ID: k.name, Addr: k.addr}))
		r.state(k.name, Healthy)
	}
}

// fail gives a target the result of one failed check, succeed of one that passed.
func (r *rig) fail(id string)    { r.result(id, errors.New("made to fail")) }
func (r *rig) succeed(id string) { r.result(id, nil) }

func (r *rig) result(id string, err error) {
	r.t.Helper()
	r.mu.Lock()
	target := r.find(id)
	r.mu.Unlock()
	r.record(target, err)
}

func (r *rig) target(id string) TargetHealth {
	r.t.Helper()
	for _, h := range r.Targets() {
		if h.ID == id {
			return h
		}
	}
	r.t.Fatalf("target %s is not listed: %v", id, r.Targets())
	return TargetHealth{}
}

// client is a client's end of a connection.
type client struct {
	end
	socket *net.TCPConn
	t      *testing.T
	reader *bufio.Reader
	target string // the name of the backend that answered
}

// end is a TCP connection, or TLS over one.
type end interface {
	net.Conn
	CloseWrite() error
}

// dial connects and learns which backend answers.
func (r *rig) dial() *client {
	r.t.Helper()
	c, err := r.try()
	if err != nil {
		r.t.Fatalf("connection through the load balancer: %v", err)
	}
	return c
}

func (r *rig) try() (*client, error) {
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		return nil, err
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	k := &client{end: c.(end), socket: c.(*net.TCPConn), t: r.t}
	if r.config.TLS != nil {
		k.end = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	k.reader = bufio.NewReader(k.end)
	line, err := k.reader.ReadString('\n')
	k.target = strings.TrimSpace(line)
	return k, err
}

// spread makes n connections, closes them and counts which backends answered.
func (r *rig) spread(n int) map[string]int {
	r.t.Helper()
	count := map[string]int{}
	for range n {
		c := r.dial()
		count[c.target]++
		c.Close()
	}
	return count
}

// echo proves that the connection works.
func (c *client) echo() {
	c.t.Helper()
	if _, err := c.Write([]byte("hello\n")); err != nil {
		c.t.Fatalf("write: %v", err)
	}
	if line, err := c.reader.ReadString('\n'); line != "hello\n" || err != nil {
		c.t.Fatalf("echo: got %q, %v", line, err)
	}
}

// wantReset proves that the connection was reset, not closed in good order.
func (c *client) wantReset() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c.reader); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("got %v, want a reset", err)
	}
}

// wantRefusal proves that a new connection is reset. The reset may come so early that connecting
// itself reports it.
func (r *rig) wantRefusal() {
	r.t.Helper()
	if c, err := r.try(); !errors.Is(err, syscall.ECONNRESET) {
		r.t.Fatalf("got %v (answered by %q), want a reset", err, c.target)
	}
}
