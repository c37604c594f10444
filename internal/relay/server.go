package relay

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options say how the relay works.
type Options struct {
	// Allow are the clients besides this machine's own.
	Allow []netip.Prefix
	// RequireSession refuses requests without a session with 407, as clients need that send
	// credentials only when asked.
	RequireSession bool
	// Failover sends a session to its next address while the port of its own is not served.
	Failover bool
	// Roots are the authorities for a fleet's certificate; nil for the system's.
	Roots *x509.CertPool
	// MaxConnections of clients are open at a time; others get 503.
	MaxConnections int
	// Drain is how long connections may go on after the end of Serve's context.
	Drain time.Duration
	// Report, if set, gets what happens, one event at a time.
	Report func(Event)
}

// Kind says what happened.
type Kind string

// What happens.
const (
	// Request: a request or a tunnel is over.
	Request Kind = "request"
	// Trouble: a fleet cannot be used as it should.
	Trouble Kind = "trouble"
	// Draining: the relay ends, and lets its connections finish.
	Draining Kind = "draining"
)

// Event is something that happened. It has no credentials and no more of a URL than its host.
type Event struct {
	Time    time.Time      `json:"time"`
	Kind    Kind           `json:"event"`
	Client  netip.AddrPort `json:"client,omitzero"`
	Session string         `json:"session,omitempty"`
	Method  string         `json:"method,omitempty"`
	Target  string         `json:"target,omitempty"`
	Fleet   string         `json:"fleet,omitempty"`
	// Number is the address's; 0 is any.
	Number int `json:"number,omitempty"`
	Port   int `json:"port,omitempty"`
	Status int `json:"status,omitempty"`
	// Sent and Received are bytes of a tunnel or, for Received, of an answer's body.
	Sent     int64  `json:"sent,omitempty"`
	Received int64  `json:"received,omitempty"`
	Error    string `json:"error,omitempty"`
}

// at has the event be about a port.
func (e *Event) at(p *port) { e.Fleet, e.Number, e.Port = p.fleet.String(), p.number, p.port }

// Server is a relay.
type Server struct {
	o        Options
	listener *net.TCPListener
	fleets   atomic.Pointer[[]*fleet]
	turn     atomic.Uint64
	active   atomic.Int64    // connections of clients
	ctx      context.Context // ends when connections are cut
	cut      context.CancelFunc

	reporting sync.Mutex

	ending   atomic.Bool
	group    sync.WaitGroup
	mu       sync.Mutex
	idle     map[*net.TCPConn]bool // clients' connections; true: they wait for a request
	sessions map[string]*SessionStatus
}

// Listen opens the relay's port. Beyond loopback it needs Options.Allow.
func Listen(address string, o Options, all []Fleet) (*Server, error) {
	for _, prefix := range o.Allow {
		if least := prefix.Addr().BitLen() / 4; prefix.Bits() < least {
			return nil, fmt.Errorf("allow %s: is wider than /%d: the relay has no password", prefix, least)
		}
	}
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	if !at.IP.IsLoopback() && len(o.Allow) == 0 {
		return nil, fmt.Errorf("listen on %s: other machines reach it; --allow CIDR says which of them may use "+
			"the relay", address)
	}
	s := &Server{o: o, idle: map[*net.TCPConn]bool{}, sessions: map[string]*SessionStatus{}}
	if err := s.SetFleets(all); err != nil {
		return nil, err
	}
	// The fleet ends what is idle, and so clients that have vanished as well.
	config := net.ListenConfig{KeepAlive: -1}
	l, err := config.Listen(context.Background(), "tcp", at.String())
	if err != nil {
		return nil, err
	}
	s.listener = l.(*net.TCPListener)
	s.ctx, s.cut = context.WithCancel(context.Background())
	return s, nil
}

// Addr is where the relay listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// SetFleets replaces the fleets. Open connections go on.
func (s *Server) SetFleets(all []Fleet) error {
	if len(all) == 0 {
		return errors.New("no fleet")
	}
	var old, next []*fleet
	if now := s.fleets.Load(); now != nil {
		old = *now
	}
	ids := map[string]bool{}
	for _, f := range all {
		if ids[f.id()] {
			return fmt.Errorf("two fleets are called %s", f.String())
		}
		ids[f.id()] = true
		next = append(next, s.newFleet(f, old))
	}
	s.fleets.Store(&next)
	return nil
}

// Serve serves until ctx ends and the connections are over, or cut after Options.Drain.
func (s *Server) Serve(ctx context.Context) error {
	defer s.cut()
	stop := context.AfterFunc(ctx, s.drain)
	defer stop()
	for {
		conn, err := s.listener.AcceptTCP()
		if err == nil {
			s.accept(conn)
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if !slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) }) {
			s.listener.Close()
			return err
		}
		time.Sleep(acceptPause)
	}
	defer time.AfterFunc(s.o.Drain, s.cut).Stop()
	s.group.Wait()
	return nil
}

// passing are errors of accepting a connection that end by themselves, when others are closed.
var passing = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED}

const acceptPause = 50 * time.Millisecond

// accept serves a connection of a client that may have one.
func (s *Server) accept(conn *net.TCPConn) {
	if !s.allows(conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()) {
		conn.Close()
		return
	}
	full := s.active.Add(1) > int64(s.o.MaxConnections)
	s.group.Go(func() {
		defer s.active.Add(-1)
		defer context.AfterFunc(s.ctx, func() { conn.Close() })()
		defer conn.Close()
		c := &client{s: s, conn: conn}
		if full {
			c.say(nil, 503, "connection_limit_reached", fmt.Errorf("%d connections are open", s.o.MaxConnections))
			return
		}
		c.serve()
		s.mu.Lock()
		delete(s.idle, conn)
		s.mu.Unlock()
	})
}

// allows reports whether a client may connect from an address.
func (s *Server) allows(from netip.Addr) bool {
	from = from.Unmap().WithZone("")
	return from.IsLoopback() || slices.ContainsFunc(s.o.Allow, func(p netip.Prefix) bool { return p.Contains(from) })
}

// setIdle notes whether a connection waits for a request. false: the relay ends, and so does it.
func (s *Server) setIdle(conn *net.TCPConn, idle bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle[conn] = idle
	return !s.ending.Load()
}

// drain stops listening and ends idle connections.
func (s *Server) drain() {
	s.report(Event{Time: time.Now(), Kind: Draining})
	s.ending.Store(true)
	s.listener.Close() // first, so that a client which is told to go cannot come back
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn, idle := range s.idle {
		if idle {
			conn.Close()
		}
	}
}

func (s *Server) report(e Event) {
	if s.o.Report != nil {
		s.reporting.Lock()
		defer s.reporting.Unlock()
		s.o.Report(e)
	}
}
