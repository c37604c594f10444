package main

import (
	"net/netip"
	"os"
	"syscall"
	"time"

	"squidfleet/proxyimage/container"
)

// stopper ends Squid as the signals demand. Only the supervising goroutine uses it.
type stopper struct {
	squid   *os.Process
	clients netip.AddrPort // Squid's port for clients
	timeout time.Duration

	drain  *drain           // set by the first SIGTERM
	poll   <-chan time.Time // when to look again; nil without a drain
	grace  <-chan time.Time // when to kill Squid; nil until it was told to end
	killed bool             // Squid was killed because no client was left
}

// signal obeys a signal. The first SIGTERM drains; a second one, SIGINT and SIGQUIT stop now. All
// others go to Squid.
func (s *stopper) signal(received syscall.Signal) {
	_, stops := stopSignal(received)
	switch {
	case !stops:
		s.squid.Signal(received)
	case received == syscall.SIGTERM && s.drain == nil && s.grace == nil && s.timeout > 0:
		now := time.Now()
		s.drain = &drain{begun: now, timeout: s.timeout}
		s.poll = time.Tick(drainPoll)
		complain("SIGTERM: serving on until no connection is left, at most %v; open now: %d", s.timeout, s.open())
		s.look(now)
	default:
		s.stop()
	}
}

// look is one poll of a drain.
func (s *stopper) look(now time.Time) {
	if over := s.drain.observe(now, s.open()); over != "" {
		complain("%s", over)
		s.stop()
	}
}

// stop ends Squid now. A Squid without clients is killed: it has nothing on disk and nothing to
// log, and a normal end would take one or two seconds with the port closed. A Squid with clients
// gets SIGINT, so that it logs what it cuts.
func (s *stopper) stop() {
	s.poll = nil
	if s.grace != nil {
		return
	}
	s.grace = time.After(container.StopGrace)
	if open := s.open(); open > 0 {
		complain("stopping Squid; connections cut: %d", open)
		s.squid.Signal(syscall.SIGINT) // which does not wait for Squid's shutdown_lifetime
		return
	}
	s.killed = true
	s.squid.Kill()
}

// open counts the clients' connections. If that fails, it assumes one.
func (s *stopper) open() int {
	n, err := openConnections(s.clients)
	if err != nil {
		complain("count the clients' connections: %v", err)
		return 1
	}
	return n
}
