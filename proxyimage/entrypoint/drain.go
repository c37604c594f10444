package main

import "time"

// drainPoll is how often the clients' connections are counted.
const drainPoll = 250 * time.Millisecond

// drainQuiet is how long there has to be no connection at all: two seconds, which with a poll leaves an idle task below three; of a short timeout a fiftieth, but at least half a second.
//
// A client that closes a connection and opens the next, as one that answers a Digest challenge may do, is between two for a moment. And ECS sends SIGTERM to a task that is taken back by Spot, or that
// somebody stops, while the load balancer still sends new clients to it: one that comes within this time is served. A load balancer's health probe lasts milliseconds; should a poll meet one, this
// begins again, and that is all.
func drainQuiet(timeout time.Duration) time.Duration {
	return min(2*time.Second, max(timeout/50, 500*time.Millisecond))
}

// drain decides when a Squid that was told to end has served its clients. Squid keeps its listener open meanwhile, because
// connections go on coming for a while after a task was taken from the load balancer.
//
// An idle keep-alive connection counts like any other: the load balancer still maps a client to it, and the client's next
// request may be on its way. Squid closes idle ones itself (client_idle_pconn_timeout), well before the deadline.
type drain struct {
	begun    time.Time
	deadline time.Time
	enough   time.Duration // without a connection
	quiet    time.Time     // since when there has been no connection; zero while there is one
}

func newDrain(now time.Time, timeout time.Duration) *drain {
	return &drain{begun: now, deadline: now.Add(timeout), enough: drainQuiet(timeout)}
}

type verdict int

const (
	goOn verdict = iota
	served
	overdue
)

// observe takes what a poll saw.
func (d *drain) observe(now time.Time, open int) verdict {
	switch {
	case open > 0:
		d.quiet = time.Time{}
	case d.quiet.IsZero():
		d.quiet = now
	case now.Sub(d.quiet) >= d.enough:
		return served
	}
	if !now.Before(d.deadline) {
		return overdue
	}
	return goOn
}
