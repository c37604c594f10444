// Package destination knows which IP addresses a public forward proxy must never connect to.
//
// Its table is the project's only list of special-purpose ranges. Squid's configuration and the
// validation of the parameters are derived from it.
package destination

import "net/netip"

// Range is a block of addresses with a special meaning, to which a public proxy must not connect.
type Range struct {
	Prefix    netip.Prefix
	Name      string // the registry's name for the block
	Reference string // the document that assigns it
	// Openable says that the parameter allowedPrivateCidrs may open parts of the block. It is
	// true only for the ranges for private networks.
	Openable bool
}

// registries is the table: the IANA special-purpose address registries of IPv4 and IPv6,
// multicast, and all of IPv6 outside 2000::/3, which is the only block of assigned unicast
// addresses. A block inside another one is left out.
//
// The blocks outside 2000::/3 are listed whole. Nothing in them is a destination, and some forms
// lead inwards: an IPv6 address can carry an IPv4 one in more forms than the registry names, such
// as ::ffff:0:0:0/96 of RFC 2765.
//
// IPv4-mapped addresses (::ffff:0:0/96) are never forbidden as such; see mapped.
//
// Sources, all below https://www.iana.org/assignments/: iana-ipv4-special-registry,
// iana-ipv6-special-registry, ipv6-address-space, multicast-addresses, ipv6-multicast-addresses.
var registries = []struct {
	prefix, name, reference string
	openable                bool
}{
	{"0.0.0.0/8", "This network", "RFC 791, section 3.2", false},
	{"10.0.0.0/8", "Private-Use", "RFC 1918", true},
	{"100.64.0.0/10", "Shared Address Space", "RFC 6598", true},
	{"127.0.0.0/8", "Loopback", "RFC 1122, section 3.2.1.3", false},
	{"169.254.0.0/16", "Link Local, with the metadata and credentials endpoints of EC2 and ECS", "RFC 3927", false},
	{"172.16.0.0/12", "Private-Use", "RFC 1918", true},
	{"192.0.0.0/24", "IETF Protocol Assignments", "RFC 6890, section 2.1", false},
	{"192.0.2.0/24", "Documentation (TEST-NET-1)", "RFC 5737", false},
	{"192.31.196.0/24", "AS112-v4", "RFC 7535", false},
	{"192.52.193.0/24", "AMT", "RFC 7450", false},
	{"192.88.99.0/24", "Deprecated (6to4 Relay Anycast)", "RFC 7526", false},
	{"192.168.0.0/16", "Private-Use", "RFC 1918", true},
	{"192.175.48.0/24", "Direct Delegation AS112 Service", "RFC 7534", false},
	{"198.18.0.0/15", "Benchmarking", "RFC 2544", false},
	{"198.51.100.0/24", "Documentation (TEST-NET-2)", "RFC 5737", false},
	{"203.0.113.0/24", "Documentation (TEST-NET-3)", "RFC 5737", false},
	{"224.0.0.0/4", "Multicast", "RFC 5771", false},
	{"240.0.0.0/4", "Reserved, with Limited Broadcast", "RFC 1112, section 4; RFC 8190", false},

	{"::/8", "Reserved by IETF, with Unspecified, Loopback, IPv4-compatible, IPv4-translated and NAT64 addresses",
		"RFC 4291; RFC 2765; RFC 6052; RFC 8215", false},
	{"100::/8", "Reserved by IETF, with Discard-Only and Dummy prefixes", "RFC 4291; RFC 6666; RFC 9780", false},
	{"200::/7", "Reserved by IETF, once NSAP addresses", "RFC 4048", false},
	{"400::/6", "Reserved by IETF", "RFC 4291", false},
	{"800::/5", "Reserved by IETF", "RFC 4291", false},
	{"1000::/4", "Reserved by IETF", "RFC 4291", false},
	{"2001::/23", "IETF Protocol Assignments, with Teredo and ORCHID", "RFC 2928", false},
	{"2001:db8::/32", "Documentation", "RFC 3849", false},
	{"2002::/16", "6to4", "RFC 3056", false},
	{"2620:4f:8000::/48", "Direct Delegation AS112 Service", "RFC 7534", false},
	{"3fff::/20", "Documentation", "RFC 9637", false},
	{"4000::/3", "Reserved by IETF, with Segment Routing (SRv6) SIDs", "RFC 4291; RFC 9602", false},
	{"6000::/3", "Reserved by IETF", "RFC 4291", false},
	{"8000::/3", "Reserved by IETF", "RFC 4291", false},
	{"a000::/3", "Reserved by IETF", "RFC 4291", false},
	{"c000::/3", "Reserved by IETF", "RFC 4291", false},
	{"e000::/4", "Reserved by IETF", "RFC 4291", false},
	{"f000::/5", "Reserved by IETF", "RFC 4291", false},
	{"f800::/6", "Reserved by IETF", "RFC 4291", false},
	{"fc00::/7", "Unique-Local", "RFC 4193", true},
	{"fe00::/9", "Reserved by IETF", "RFC 4291", false},
	{"fe80::/10", "Link-Local Unicast", "RFC 4291", false},
	{"fec0::/10", "Site-Local (deprecated)", "RFC 3879", false},
	{"ff00::/8", "Multicast", "RFC 4291, section 2.7", false},
}

// mapped holds IPv4 addresses written as IPv6. Squid stores every IPv4 address in this form, so a
// list with a block around it holds all of IPv4. Squid compares a mapped literal with the IPv4
// ranges anyway.
var mapped = netip.MustParsePrefix("::ffff:0:0/96")

// neverOpen lists what stays shut inside an openable range: AWS's metadata and credentials
// endpoints in the unique-local block (EC2's user guide, "Instance metadata", and ECS's).
var neverOpen = []netip.Prefix{netip.MustParsePrefix("fd00:ec2::/32")}

// Ranges returns a copy of the table, IPv4 first, in the order of the addresses.
func Ranges() []Range {
	ranges := make([]Range, 0, len(registries))
	for _, r := range registries {
		ranges = append(ranges, Range{netip.MustParsePrefix(r.prefix), r.name, r.reference, r.openable})
	}
	return ranges
}
