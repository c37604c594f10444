package local

import (
	"net/netip"

	"squidfleet/params"
	"squidfleet/squid"
)

// Limits of Options.
const (
	// MaxAddresses is how many listeners a load balancer has besides the common one. Twice as many
	// tasks run while all rotate.
	MaxAddresses = 49
	// MaxZones is how many availability zones AWS's largest region has.
	MaxZones = 6
)

// Options describe the fleet to run.
type Options struct {
	// Params are the fleet's parameters.
	Params *params.Params
	// Passwords holds a password for each of the parameters' users, in their order.
	Passwords []squid.Credential
	// Addresses is how many there are, 1 to MaxAddresses.
	Addresses int
	// Zones is how many zones the load balancer has a node in, 1 to MaxZones.
	Zones int
	// Port is the common port on 127.0.0.1. Address k has the port Port + k.
	Port int
	// TLS has all listeners speak TLS, with a certificate by a CA that is made anew.
	TLS bool
	// Timing holds AWS's times.
	Timing Timing
	// Origin is [StartOrigin]'s address, the one on this machine that the guard lets through.
	Origin netip.AddrPort
	// Report, if set, gets the events in their order, one at a time. It must not call the Fleet.
	Report func(Event)

	// Program runs in place of the entrypoint, and Edit changes each squid.conf: for tests that
	// show what another fleet would do. Both may be zero.
	Program string
	Edit    func(conf string) string
}
