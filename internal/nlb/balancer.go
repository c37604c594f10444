package nlb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"
)

// MaxDeregistrationLag is the longest time for which new connections were seen to reach a
// deregistered target (see the package comment).
const MaxDeregistrationLag = 2 * time.Minute

// TLSIdleTimeout is the idle timeout of AWS's TLS listeners (Guide, "Connection idle timeout").
const TLSIdleTimeout = 350 * time.Second

// HealthCheck holds the settings of the TCP health check. All are positive.
type HealthCheck struct {
	// Interval is the time from the end of a check to the start of the next one.
	Interval time.Duration
	// Timeout is how long the target may take to accept the connection.
	Timeout time.Duration
	// The thresholds are how many checks in a row must pass, or fail, to change the state.
	HealthyThreshold, UnhealthyThreshold int
}

// Config describes a load balancer. Start from Defaults: 0 is a meaningful value of most durations.
type Config struct {
	// Nodes are the private addresses of the nodes, one a zone, at least one. Connections to targets
	// come from them, and the PROXY header names them as the destination. Every node uses all targets.
	Nodes []netip.Addr
	// RoundRobin takes nodes and targets in turn. AWS's hash is even in the long run only.
	RoundRobin bool
	// HealthCheck applies to every target.
	HealthCheck HealthCheck
	// TLS, if set, makes the listener a TLS listener: it decrypts, and the target gets the PROXY
	// header and what the client said. On AWS the IdleTimeout is then always TLSIdleTimeout.
	TLS *tls.Config
	// IdleTimeout resets an idle connection, up to a tenth of it, at most 10 s, later.
	IdleTimeout time.Duration
	// ConnectTimeout is how long a target may take to accept a client's connection.
	ConnectTimeout time.Duration
	// DeregistrationDelay is how long a target stays draining. Connections left then are reset.
	DeregistrationDelay time.Duration
	// DeregistrationLag is how long a deregistered target still gets new connections, 0 to
	// MaxDeregistrationLag.
	DeregistrationLag time.Duration
	// ClientAddr, if set, gives the client address that the header presents, so that a client on
	// loopback can look public. It is called by the accepting goroutine and must not block.
	ClientAddr func(net.Conn) netip.AddrPort
}

// Defaults returns a node on loopback and AWS's default settings, and no lag. AWS waits for
// a target that does not answer until the client gives up; ConnectTimeout is 10 s here.
func Defaults() Config {
	return Config{
		Nodes: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})},
		HealthCheck: HealthCheck{
			Interval: 30 * time.Second, Timeout: 10 * time.Second, HealthyThreshold: 5, UnhealthyThreshold: 2,
		},
		IdleTimeout:         TLSIdleTimeout, // also the default for TCP
		ConnectTimeout:      10 * time.Second,
		DeregistrationDelay: 300 * time.Second,
	}
}

// ErrClosed is returned by the methods of a Balancer after Close.
var ErrClosed = errors.New("the load balancer is closed")

// Balancer is a running listener with its target group. Its methods may be called from several
// goroutines at once.
type Balancer struct {
	config Config
	seed   maphash.Seed

	ctx        context.Context // ends with Close, while mu is held
	cancel     context.CancelFunc
	goroutines sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil until Serve
	targets  []*target    // in the order of their registration
	conns    map[*conn]struct{}
	number   uint64 // connections accepted so far
}

// New returns a Balancer without targets, which does not listen yet. Close must be called.
func New(c Config) *Balancer {
	b := &Balancer{config: c, seed: maphash.MakeSeed(), conns: map[*conn]struct{}{}}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.goroutines.Go(b.sweepRepeatedly)
	return b
}

// Serve accepts clients' TCP connections; each reaches some zone's node. It is called once, owns l,
// and returns nil after Close, or an error if accepting failed for good.
func (b *Balancer) Serve(l net.Listener) error {
	defer l.Close()
	b.mu.Lock()
	if b.ctx.Err() != nil {
		b.mu.Unlock()
		return ErrClosed
	}
	b.listener = l
	b.goroutines.Add(1) // Close waits for the loop as for everything else
	b.mu.Unlock()
	defer b.goroutines.Done()
	for {
		accepted, err := l.Accept()
		switch {
		case err == nil:
			if c := b.admit(accepted.(*net.TCPConn)); c != nil {
				b.goroutines.Go(func() { b.handle(c) })
			}
		case b.ctx.Err() != nil:
			return nil
		case !temporary(err):
			return fmt.Errorf("accept on %v: %w", l.Addr(), err)
		case !sleep(b.ctx, 50*time.Millisecond):
			return nil
		}
	}
}

// temporary reports whether accepting may work again. The method is deprecated for want of a
// definition, but syscall.Errno's is right here: too many open files, an aborted connection.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// Close closes the listener, resets all connections, stops the health checks and returns when all
// of it has ended. A second Close does nothing.
func (b *Balancer) Close() {
	b.mu.Lock()
	b.cancel()
	if b.listener != nil {
		b.listener.Close()
	}
	for c := range b.conns {
		c.reset()
	}
	b.mu.Unlock()
	b.goroutines.Wait()
}

// WaitState waits for one target to be in a state. A target that is not known, or was forgotten,
// counts as unused. It returns ErrClosed after Close, or ctx's error with the target's last state.
func (b *Balancer) WaitState(ctx context.Context, id string, want State) error {
	for {
		last := TargetHealth{State: Unused}
		for _, t := range b.Targets() {
			if t.ID == id {
				last = t
			}
		}
		switch {
		case last.State == want:
			return nil
		case b.ctx.Err() != nil:
			return ErrClosed
		case !sleep(ctx, 5*time.Millisecond):
			return fmt.Errorf("wait for the target to be %s: %w; last seen: %s %s", want, context.Cause(ctx),
				last.State, last.Failure)
		}
	}
}

// sleep waits for d and reports whether ctx was still alive then.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
