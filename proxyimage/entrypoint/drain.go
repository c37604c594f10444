package main

import (
	"fmt"
	"time"
)

// drainPoll is how often the clients' connections are counted.
const drainPoll = 250 * time.Millisecond

// drainQuiet is how long a drain must see no connection: two seconds, so that an idle task ends
// within three; for short timeouts a fiftieth, but at least half a second.
//
// A client may close one connection before it opens the next, for example to answer a Digest
// challenge. And when Spot or a person stops a task, the load balancer still sends it new clients.
// A load balancer's health probe that a poll happens to meet only begins the time again.
func drainQuiet(timeout time.Duration) time.Duration {
	return min(2*time.Second, max(timeout/50, 500*time.Millisecond))
}

// drain decides when Squid has served its clients after SIGTERM. Squid keeps listening meanwhile,
// because connections still arrive for a while after a task left the load balancer.
//
// An idle keep-alive connection counts too: the client's next request may be on its way. Squid
// closes idle ones itself (client_idle_pconn_timeout), well before the deadline.
type drain struct {
	begun   time.Time
	timeout time.Duration
	quiet   time.Time // when the last connection ended; zero while one is open
}

// observe takes the number of connections that a poll found. It says why the drain is over, or "".
func (d *drain) observe(now time.Time, open int) (over string) {
	switch {
	case open > 0:
		d.quiet = time.Time{}
	case d.quiet.IsZero():
		d.quiet = now
	case now.Sub(d.quiet) >= drainQuiet(d.timeout):
		return fmt.Sprintf("served all connections in %v", now.Sub(d.begun).Round(time.Millisecond))
	}
	if now.Sub(d.begun) >= d.timeout {
		return fmt.Sprintf("the drain timeout of %v is over", d.timeout)
	}
	return ""
}
