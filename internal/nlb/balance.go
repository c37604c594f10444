package nlb

import (
	"hash/maphash"
	"net/netip"
	"slices"
)

// flow is what is hashed; number stands for the TCP sequence number.
type flow struct {
	client, listener netip.AddrPort
	number           uint64
}

// choose picks the node and the target for a connection; the target is nil if there is none. Every
// node has the same targets, so DNS offers all of them or none. b.mu is held, here and in all
// functions below.
func (b *Balancer) choose(f flow) (Zone, *target) {
	hash := maphash.Comparable(b.seed, f)
	if b.config.RoundRobin {
		hash = f.number
	}
	zone := b.config.Zones[hash%uint64(len(b.config.Zones))]
	usable := b.usable()
	if len(usable) == 0 {
		return zone, nil
	}
	// Another part of the hash, so that the choices of node and target are independent.
	if !b.config.RoundRobin {
		hash >>= 32
	}
	return zone, usable[hash%uint64(len(usable))]
}

// usable returns the targets that get new connections: the healthy ones, or all (fail-open).
func (b *Balancer) usable() []*target {
	var all, healthy []*target
	failed := false
	for _, t := range b.targets {
		if !t.routed {
			continue
		}
		all = append(all, t)
		failed = failed || t.checked == Unhealthy
		if t.checked == Healthy {
			healthy = append(healthy, t)
		}
	}
	switch {
	case len(healthy) > 0:
		return healthy
	case failed:
		return all // fail-open
	default:
		return nil // nothing registered, or first checks still under way
	}
}

// anyHealthy reports whether there is a healthy target to use.
func (b *Balancer) anyHealthy() bool {
	return slices.ContainsFunc(b.targets, func(t *target) bool { return t.routed && t.checked == Healthy })
}
