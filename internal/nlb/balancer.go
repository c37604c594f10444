package nlb

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by the methods of a Balancer after Close.
var ErrClosed = errors.New("the load balancer is closed")

// Balancer is a running load balancer. Its methods may be called from several
// goroutines at once.
type Balancer struct {
	config               Config
	local                []byte // the health check's header
	zoneSeed, targetSeed maphash.Seed

	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	goroutines sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	listeners  map[net.Listener]struct{}
	targets    map[string]*target
	order      int
	conns      map[*conn]struct{}
	number     uint64 // connections accepted so far
	zoneTurn   uint64
	targetTurn map[string]uint64
	changed    chan struct{} // closed at the next change; nil while nobody waits

	stats struct {
		accepted, overLimit, noTarget, connectFailed, idle, terminated, unhealthy atomic.Uint64
	}
}

// Stats counts connections since New. Every accepted connection is either open,
// ended by one of its two sides, or counted in exactly one of the fields below
// Accepted (Close's resets are not counted).
type Stats struct {
	// Open is the number of connections now.
	Open int
	// Accepted counts all connections that clients made.
	Accepted uint64
	// OverLimit were reset because MaxConnections were open.
	OverLimit uint64
	// NoTarget were reset because the node had no target to use.
	NoTarget uint64
	// ConnectFailed were reset because their target could not be connected to.
	ConnectFailed uint64
	// IdleReset were reset by the idle timeout.
	IdleReset uint64
	// TerminatedReset were reset after their target's deregistration.
	TerminatedReset uint64
	// UnhealthyReset were reset because their target became unhealthy.
	UnhealthyReset uint64
}

// New returns a load balancer without targets and without listeners. The error
// names every bad field of the configuration, one a line. Close must be called.
func New(c Config) (*Balancer, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	zones := make([]Zone, len(c.Zones))
	for i, z := range c.Zones {
		zones[i] = Zone{Name: z.Name, Node: z.Node.Unmap()}
	}
	c.Zones = zones
	b := &Balancer{
		config: c, local: localHeader(),
		zoneSeed: maphash.MakeSeed(), targetSeed: maphash.MakeSeed(),
		listeners: map[net.Listener]struct{}{}, targets: map[string]*target{},
		conns: map[*conn]struct{}{}, targetTurn: map[string]uint64{},
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.goroutines.Go(b.sweepRepeatedly)
	return b, nil
}

// Serve accepts connections as clients make them by the load balancer's name:
// each reaches the node of some zone. It owns l, which must accept TCP
// connections, and returns nil after Close, or an error if accepting failed for
// good.
func (b *Balancer) Serve(l net.Listener) error {
	return b.serve(l, b.resolve)
}

// ServeZone is Serve for the address of one zone's node: clients that connect by
// it use that node only.
func (b *Balancer) ServeZone(l net.Listener, zone string) error {
	for _, z := range b.config.Zones {
		if z.Name == zone {
			return b.serve(l, func(flow) Zone { return z })
		}
	}
	l.Close()
	return fmt.Errorf("zone: %q is not enabled; use one of %q", zone, b.zoneNames())
}

func (b *Balancer) serve(l net.Listener, node func(flow) Zone) error {
	defer l.Close()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.listeners[l] = struct{}{}
	b.goroutines.Add(1) // Close waits for the loop as for everything else
	b.mu.Unlock()
	defer b.goroutines.Done()
	defer func() {
		b.mu.Lock()
		delete(b.listeners, l)
		b.mu.Unlock()
	}()

	var pause time.Duration
	for {
		accepted, err := l.Accept()
		if err != nil {
			if b.ctx.Err() != nil {
				return nil
			}
			// Out of descriptors, or the client gave up before it was accepted: both
			// pass, and a load balancer that stopped for them would be of no use.
			if temporary(err) {
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				if !sleep(b.ctx, pause) {
					return nil
				}
				continue
			}
			return fmt.Errorf("accept on %v: %w", l.Addr(), err)
		}
		pause = 0
		client, ok := accepted.(*net.TCPConn)
		if !ok {
			accepted.Close()
			return fmt.Errorf("listener %v: accepted a %T; use a plain TCP listener", l.Addr(), accepted)
		}
		if c := b.admit(client, node); c != nil {
			b.goroutines.Go(func() { b.handle(c) })
		}
	}
}

// temporary says whether accepting may work again. The method it asks for is
// deprecated for want of a definition, but syscall.Errno's answer is the right
// one here: too many open files, an aborted connection, an interrupted call.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// Close closes the listeners, resets all connections, stops the health checks
// and returns when all of it has ended. A second Close does nothing.
func (b *Balancer) Close() error {
	b.mu.Lock()
	b.closed = true
	b.cancel()
	for l := range b.listeners {
		l.Close()
	}
	all := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		all = append(all, c)
	}
	b.mu.Unlock()
	resetAll(all, nil)
	b.goroutines.Wait()
	return nil
}

// Stats returns the counters.
func (b *Balancer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{
		Open: len(b.conns), Accepted: b.stats.accepted.Load(), OverLimit: b.stats.overLimit.Load(),
		NoTarget: b.stats.noTarget.Load(), ConnectFailed: b.stats.connectFailed.Load(),
		IdleReset: b.stats.idle.Load(), TerminatedReset: b.stats.terminated.Load(),
		UnhealthyReset: b.stats.unhealthy.Load(),
	}
}

// Wait returns nil once done says true of the targets. It asks at once, and
// again after every change of a target's state or number of open connections.
// Otherwise it returns ErrClosed, or ctx's error with the targets' last states.
func (b *Balancer) Wait(ctx context.Context, done func([]TargetHealth) bool) error {
	for {
		b.mu.Lock()
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed, targets := b.changed, b.snapshot()
		b.mu.Unlock()
		if done(targets) {
			return nil
		}
		select {
		case <-changed:
		case <-b.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("wait for targets: %w; last seen: %s", context.Cause(ctx), describe(targets))
		}
	}
}

// WaitState waits for one target to be in a state. A target that is not known,
// or was forgotten, counts as unused.
func (b *Balancer) WaitState(ctx context.Context, id string, want State) error {
	return b.Wait(ctx, func(targets []TargetHealth) bool {
		for _, t := range targets {
			if t.ID == id {
				return t.State == want
			}
		}
		return want == Unused
	})
}

func describe(targets []TargetHealth) string {
	if len(targets) == 0 {
		return "no targets"
	}
	words := make([]string, len(targets))
	for i, t := range targets {
		words[i] = fmt.Sprintf("%s %s, %d open", t.ID, t.State, t.Open)
		if t.Description != "" {
			words[i] += " (" + t.Description + ")"
		}
	}
	return strings.Join(words, "; ")
}

// notify wakes those who wait. b.mu is held.
func (b *Balancer) notify() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// node returns an enabled zone by name.
func (b *Balancer) node(zone string) Zone {
	for _, z := range b.config.Zones {
		if z.Name == zone {
			return z
		}
	}
	panic("nlb: a target was registered in zone " + zone + ", which is not enabled")
}

func (b *Balancer) zoneNames() []string {
	names := make([]string, len(b.config.Zones))
	for i, z := range b.config.Zones {
		names[i] = z.Name
	}
	return names
}
