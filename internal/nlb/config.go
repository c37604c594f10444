package nlb

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"time"
)

// MaxDeregistrationLag is the longest time for which new connections were seen
// to reach a deregistered target (see the package comment).
const MaxDeregistrationLag = 2 * time.Minute

// Balance says how a node chooses among the targets it may use.
type Balance string

const (
	// FlowHash picks by a hash of the connection, as AWS does: even in the long
	// run only.
	FlowHash Balance = "flow_hash"
	// RoundRobin takes zones and targets strictly in turn, for tests and
	// demonstrations.
	RoundRobin Balance = "round_robin"
)

// Zone is an enabled availability zone and the load balancer's node in it.
type Zone struct {
	// Name is unique among the zones. It may be empty if there is only one.
	Name string
	// Node is the node's private address: connections to targets come from it and
	// the PROXY header names it as the destination. The zero value leaves both to the
	// system: the source it routes by, the address that the client dialled.
	Node netip.Addr
}

// HealthCheck holds the settings of the TCP health check. All are positive.
type HealthCheck struct {
	// Interval is the time from the end of a check to the start of the next one.
	Interval time.Duration
	// Timeout is how long the target may take to accept the connection.
	Timeout time.Duration
	// HealthyThreshold is how many checks in a row must pass to be healthy.
	HealthyThreshold int
	// UnhealthyThreshold is how many checks in a row must fail to be unhealthy.
	UnhealthyThreshold int
}

// Config describes a load balancer. Its zero value is not valid: start from
// Defaults, because 0 is a meaningful value of most durations.
type Config struct {
	// Zones are the enabled zones, at least one.
	Zones []Zone
	// CrossZone lets every node use the targets of all zones.
	CrossZone bool
	// Balance is FlowHash or RoundRobin.
	Balance Balance
	// StickySourceIP sends a client address to the same target each time, and
	// overrides Balance for the choice of the target, but not of the node.
	StickySourceIP bool
	// HealthCheck applies to every target.
	HealthCheck HealthCheck
	// RegistrationDelay is the time from Register to the first health check.
	RegistrationDelay time.Duration
	// IdleTimeout closes a connection on which neither side sent data for this
	// long; positive. The end may come later by a tenth of it, at most 10 s.
	IdleTimeout time.Duration
	// ConnectTimeout is how long a target may take to accept a client's
	// connection; positive.
	ConnectTimeout time.Duration
	// DeregistrationDelay is how long a deregistered target stays draining.
	DeregistrationDelay time.Duration
	// TerminateOnDeregistration resets the connections that are left when the
	// deregistration delay is over (and when the lag is over, if that is later).
	TerminateOnDeregistration bool
	// DeregistrationLag is how long a deregistered target still gets new
	// connections, 0 to MaxDeregistrationLag.
	DeregistrationLag time.Duration
	// KeepUnhealthyConnections leaves the connections of a target alone when it
	// becomes unhealthy.
	KeepUnhealthyConnections bool
	// VPCEndpointID, if set, is sent in every connection's header as if all clients
	// came through that PrivateLink endpoint: "vpce-" and up to 17 hex digits.
	VPCEndpointID string
	// MaxConnections bounds the open connections; positive. AWS has no such limit.
	MaxConnections int
	// ClientAddr, if set, gives the client address that the header presents and
	// that stickiness goes by, so that a client on loopback can look public. An
	// invalid result, and a nil function, mean the connection's remote address. It
	// is called by the accepting goroutine and must not block.
	ClientAddr func(net.Conn) netip.AddrPort
}

// Defaults returns one unnamed zone and AWS's default settings, no lag, and room
// for 10,000 connections. AWS waits for the client to lose patience with a target
// that does not answer; ConnectTimeout is 10 s here.
func Defaults() Config {
	return Config{
		Zones:   []Zone{{}},
		Balance: FlowHash,
		HealthCheck: HealthCheck{
			Interval:           30 * time.Second,
			Timeout:            10 * time.Second,
			HealthyThreshold:   5,
			UnhealthyThreshold: 2,
		},
		IdleTimeout:         350 * time.Second,
		ConnectTimeout:      10 * time.Second,
		DeregistrationDelay: 300 * time.Second,
		MaxConnections:      10_000,
	}
}

var vpcEndpointID = regexp.MustCompile(`^vpce-[0-9a-f]{1,17}$`)

// check returns every problem of the configuration, path-first.
func (c Config) check() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	}
	if len(c.Zones) == 0 {
		bad("Zones", "name at least one zone")
	}
	seen := map[string]bool{}
	for i, z := range c.Zones {
		if z.Name == "" && len(c.Zones) > 1 {
			bad(fmt.Sprintf("Zones[%d].Name", i), "give every zone a name when there are several")
		} else if seen[z.Name] {
			bad(fmt.Sprintf("Zones[%d].Name", i), "%q is used twice; names must differ", z.Name)
		}
		seen[z.Name] = true
	}
	if c.Balance != FlowHash && c.Balance != RoundRobin {
		bad("Balance", "%q is not %q or %q", c.Balance, FlowHash, RoundRobin)
	}
	for _, d := range []struct {
		path  string
		value time.Duration
	}{
		{"HealthCheck.Interval", c.HealthCheck.Interval},
		{"HealthCheck.Timeout", c.HealthCheck.Timeout},
		{"IdleTimeout", c.IdleTimeout},
		{"ConnectTimeout", c.ConnectTimeout},
	} {
		if d.value <= 0 {
			bad(d.path, "%v must be above 0 (nlb.Defaults has AWS's values)", d.value)
		}
	}
	for _, n := range []struct {
		path  string
		value int
	}{
		{"HealthCheck.HealthyThreshold", c.HealthCheck.HealthyThreshold},
		{"HealthCheck.UnhealthyThreshold", c.HealthCheck.UnhealthyThreshold},
		{"MaxConnections", c.MaxConnections},
	} {
		if n.value < 1 {
			bad(n.path, "%d must be at least 1 (nlb.Defaults has values)", n.value)
		}
	}
	if c.RegistrationDelay < 0 {
		bad("RegistrationDelay", "%v must not be negative", c.RegistrationDelay)
	}
	if c.DeregistrationDelay < 0 {
		bad("DeregistrationDelay", "%v must not be negative", c.DeregistrationDelay)
	}
	if c.DeregistrationLag < 0 || c.DeregistrationLag > MaxDeregistrationLag {
		bad("DeregistrationLag", "%v must be from 0 to %v", c.DeregistrationLag, MaxDeregistrationLag)
	}
	if c.VPCEndpointID != "" && !vpcEndpointID.MatchString(c.VPCEndpointID) {
		bad("VPCEndpointID", "%q must be vpce- and 1 to 17 lower-case hex digits", c.VPCEndpointID)
	}
	return errors.Join(problems...)
}
