package squid

import (
	"net/netip"

	"squidfleet/destination"
)

// addresses writes an ACL of addresses, a block a line.
//
// It uses nothing of Squid's but plain blocks. Squid's names for a whole family mislead (tried with
// 5.7): "ipv4" matches no address, "ipv6" leaves out ::/4 and some more, and 0.0.0.0/0 is taken for
// both families. Of a range from one address to another that holds 0.0.0.0, or begins below it,
// Squid drops something. IPv4-mapped addresses are left out of IPv6 blocks, because Squid stores
// each IPv4 address as one: ::/1 would match all of them.
func addresses(w *writer, acl string, prefixes []netip.Prefix) {
	for _, p := range destination.Minimise(destination.WithoutMapped(prefixes)) {
		if p.Bits() == 0 { // IPv4: the other family is in pieces
			w.line("acl %s 0.0.0.0/1", acl)
			w.line("acl %s 128.0.0.0/1", acl)
			continue
		}
		w.line("acl %s %s", acl, p)
	}
}
