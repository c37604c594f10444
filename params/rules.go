package params

import (
	"fmt"
	"net/netip"
)

func wideClients(p *Params, refuse refusal) {
	for i, c := range p.ClientCidrs {
		if !c.IsValid() || !anyone(c) || p.AllowAnyClient {
			continue
		}
		family, widest := "IPv4", widestIPv4
		if c.Addr().Is6() {
			family, widest = "IPv6", widestIPv6
		}
		who := fmt.Sprintf("is wider than /%d, the most that one organisation has in %s", widest, family)
		if c.Bits() == 0 {
			who = "lets in everyone on " + family
		}
		refuse(at("clientCidrs", i), "%s %s; give the blocks your clients connect from, or set allowAnyClient=true "+
			"if you mean it", c, who)
	}
}

// mostPorts is how many addresses can have ports. A load balancer has 50 listeners, which no quota
// raises, and one of them is the common one
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html).
const mostPorts = 50 - 1

// mostAddresses is how many a fleet can have.
const mostAddresses = 100

// MostAddresses is the largest fleetSize that goes with addressPorts.
func (p *Params) MostAddresses() int {
	if p.AddressPorts {
		return mostPorts
	}
	return mostAddresses
}

// roomForPorts refuses more addresses than there are ports for.
func roomForPorts(p *Params, refuse refusal) {
	if !p.AddressPorts {
		return
	}
	const instead = "or addressPorts=false"
	if p.FleetSize > mostPorts {
		refuse("fleetSize", "%d addresses cannot each have a port, because a load balancer has 50 listeners; give at "+
			"most %d, %s", p.FleetSize, mostPorts, instead)
	}
	if most := 65535 - p.FleetSize; p.ListenerPort > most {
		refuse("listenerPort", "after %d there are no %d ports for the addresses; give at most %d, %s", p.ListenerPort,
			p.FleetSize, most, instead)
	}
}

// somePort refuses a proxy that serves nothing. One of the lists may be empty, which turns that
// method off.
func somePort(p *Params, refuse refusal) {
	if len(p.HTTPPorts) == 0 && len(p.ConnectPorts) == 0 {
		refuse("httpPorts", "httpPorts and connectPorts are both empty, so every request would be refused; give a "+
			"port in one of them")
	}
}

// someDestination refuses a proxy that can reach nothing. Tasks use IPv4 only.
func someDestination(p *Params, refuse refusal) {
	var ipv4 uint64 // addresses; no block lies inside another
	for _, blocked := range p.BlockedCidrs {
		if blocked.Addr().Is4() {
			ipv4 += 1 << (32 - blocked.Bits())
		}
	}
	if ipv4 >= 1<<32 {
		refuse("blockedCidrs", "the list holds every address that the tasks can reach, so every request would be "+
			"refused; leave some out")
	}
}

// stillBlocked refuses what would have no effect, because blocking wins.
func stillBlocked[E any](
	key string, allowed []E, other string, blocked []E, holds func(outer, inner E) bool, refuse refusal,
) {
	for i, a := range allowed {
		for j, b := range blocked {
			if holds(b, a) {
				refuse(at(key, i), "%v stays refused because of %s[%d], %v; drop one of the two", a, other, j, b)
			}
		}
	}
}

// openedOwnNetwork keeps clients out of the fleet's own VPC, which holds only the fleet and
// cannot overlap a peered network. An existing VPC may hold what clients want to reach.
func openedOwnNetwork(p *Params, refuse refusal) {
	for i, opened := range p.AllowedPrivateCidrs {
		if p.VpcID == "" && opened.Overlaps(p.VpcCidr) {
			refuse(at("allowedPrivateCidrs", i), "%s overlaps the fleet's own network, vpcCidr %s; give narrower "+
				"blocks or another vpcCidr", opened, p.VpcCidr)
		}
	}
}

// oneVPC refuses a range for an existing VPC. The default counts as not given, because cdk.json
// lists it.
func oneVPC(p *Params, refuse refusal) {
	if p.VpcID != "" && p.VpcCidr != netip.MustParsePrefix(defaultVpcCidr) {
		refuse("vpcCidr", "%s has no meaning for the existing VPC %s; drop vpcCidr, or drop vpcId to make a new VPC",
			p.VpcCidr, p.VpcID)
	}
}

// twoZones refuses zones for an existing VPC, and one zone alone.
func twoZones(p *Params, refuse refusal) {
	switch {
	case len(p.Zones) == 0:
	case p.VpcID != "":
		refuse("zones", "have no meaning for the existing VPC %s, whose subnets are in zones already; drop zones, or "+
			"drop vpcId to make a new VPC", p.VpcID)
	case len(p.Zones) == 1:
		refuse("zones", "%s alone is one zone, and the proxy needs two to outlive one; give another of the same region",
			p.Zones[0])
	}
}

func roomForFleet(p *Params, refuse refusal) {
	room := largestFleet(p.VpcCidr)
	if p.VpcID != "" || p.FleetSize <= room {
		return
	}
	bits := p.VpcCidr.Bits()
	for largestFleet(netip.PrefixFrom(p.VpcCidr.Addr(), bits)) < p.FleetSize {
		bits--
	}
	refuse("vpcCidr", "%s has room for a fleet of %d, because a deployment runs old and new tasks side by side; give "+
		"a /%d for fleetSize %d", p.VpcCidr, room, bits, p.FleetSize)
}
