package nlb

import (
	"hash/maphash"
	"net/netip"
)

// choose picks the node and the target for a connection; the target is nil if there is none. Every
// node has the same targets, so DNS offers all of them or none. The number stands for the TCP
// sequence number. b.mu is held, here and in the function below.
func (b *Balancer) choose(client netip.AddrPort, number uint64) (node netip.Addr, t *target) {
	hash := maphash.Comparable(b.seed, struct {
		client netip.AddrPort
		number uint64
	}{client, number})
	if b.config.RoundRobin {
		hash = number
	}
	node = b.config.Nodes[hash%uint64(len(b.config.Nodes))]
	usable := b.usable()
	if len(usable) == 0 {
		return node, nil
	}
	// Another part of the hash, so that the choices of node and target are independent.
	if !b.config.RoundRobin {
		hash >>= 32
	}
	return node, usable[hash%uint64(len(usable))]
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
