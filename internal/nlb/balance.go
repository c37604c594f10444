package nlb

import (
	"hash/maphash"
	"net/netip"
	"slices"
)

// flow is what FlowHash hashes; number stands for the TCP sequence number.
type flow struct {
	client, listener netip.AddrPort
	number           uint64
}

// affinity is what stickiness hashes for each target.
type affinity struct {
	client netip.Addr
	target string
}

// reachable returns the targets in a node's table, in the order of registration.
// b.mu is held, here and in all functions below.
func (b *Balancer) reachable(zone string) []*target {
	var all []*target
	for _, t := range b.targets {
		if t.routed && (b.config.CrossZone || t.Zone == zone) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(x, y *target) int { return x.order - y.order })
	return all
}

// anyHealthy says whether the node of a zone has a healthy target to use.
func (b *Balancer) anyHealthy(zone string) bool {
	return slices.ContainsFunc(b.reachable(zone), isHealthy)
}

func isHealthy(t *target) bool   { return t.checked == Healthy }
func isUnhealthy(t *target) bool { return t.checked == Unhealthy }

// usable returns the targets that a node sends new connections to: the healthy
// ones, or all of them when it fails open.
func (b *Balancer) usable(zone string) []*target {
	all := b.reachable(zone)
	if !slices.ContainsFunc(all, isHealthy) {
		if slices.ContainsFunc(all, isUnhealthy) {
			return all // fail-open
		}
		return nil // nothing registered, or first checks still under way
	}
	return slices.DeleteFunc(all, func(t *target) bool { return !isHealthy(t) })
}

// resolve chooses the node for a client that connects by name: DNS leaves out
// zones without a healthy target, unless that would leave none.
func (b *Balancer) resolve(f flow) Zone {
	var good []Zone
	for _, z := range b.config.Zones {
		if b.anyHealthy(z.Name) {
			good = append(good, z)
		}
	}
	if len(good) == 0 {
		good = b.config.Zones
	}
	if b.config.Balance == RoundRobin {
		b.zoneTurn++
		return good[(b.zoneTurn-1)%uint64(len(good))]
	}
	return good[maphash.Comparable(b.zoneSeed, f)%uint64(len(good))]
}

// choose picks a node's target for a connection, nil if it has none.
func (b *Balancer) choose(zone string, f flow) *target {
	usable := b.usable(zone)
	switch {
	case len(usable) == 0:
		return nil
	case b.config.StickySourceIP:
		return slices.MaxFunc(usable, func(x, y *target) int {
			if b.weight(f, x) < b.weight(f, y) {
				return -1
			}
			return 1
		})
	case b.config.Balance == RoundRobin:
		if b.config.CrossZone {
			zone = "" // the nodes share their targets, so they share the turns
		}
		b.targetTurn[zone]++
		return usable[(b.targetTurn[zone]-1)%uint64(len(usable))]
	default:
		return usable[maphash.Comparable(b.targetSeed, f)%uint64(len(usable))]
	}
}

func (b *Balancer) weight(f flow, t *target) uint64 {
	return maphash.Comparable(b.targetSeed, affinity{f.client.Addr().Unmap(), t.ID})
}
