package params

import (
	"fmt"
	"net/netip"
	"strings"

	"squidfleet/destination"
)

// mapped holds IPv4 addresses written as IPv6. Squid stores every IPv4 address in this form, so a
// list with a block around it, such as ::/64, matches all of IPv4 (tried with Squid 5.7).
// squid.conf leaves it out. Such a block, ::/0 aside, is probably a mistake.
var mapped = netip.MustParsePrefix("::ffff:0:0/96")

// block says which blocks of addresses a parameter takes.
type block struct {
	example string
	single  bool                     // whether the block of one address makes sense
	check   func(netip.Prefix) error // what else is wrong; may be nil
	daring  func(netip.Prefix) bool  // whether it needs another parameter and is never proposed; may be nil
}

var (
	client = block{example: "192.0.2.0/24 or 2001:db8::/32", single: true, daring: anyone}
	target = block{example: client.example, single: true}
)

// cidr is a block of addresses in its canonical form.
func cidr(limits string, b block) kind[netip.Prefix] {
	return scalar("CIDR block", limits, func(value any) (netip.Prefix, error) {
		s, ok := value.(string)
		if !ok {
			return wrongBlock("%s is not a CIDR block; give a string such as %s", show(value), b.example)
		}
		return b.parse(s)
	})
}

func (b block) parse(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return wrongBlock("%s is an address, not a CIDR block; give %s", show(s), b.instead(netip.Prefix{}, addr))
	}
	if address, _, _ := strings.Cut(s, "/"); strings.Contains(address, "%") {
		return wrongBlock("%s has a zone, which has a meaning on one machine only; drop the %% and what follows",
			show(s))
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return wrongBlock("%s is not a CIDR block; give one such as %s", show(s), b.example)
	}
	if p.Addr().Is4In6() && p.Bits() >= mapped.Bits() {
		unmapped := netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped.Bits()).Masked()
		return wrongBlock("%s is an IPv4 block written as IPv6; give %s", show(s), b.instead(unmapped, netip.Addr{}))
	}
	if p != p.Masked() {
		return wrongBlock("%s has bits set after the first %d; give %s",
			show(s), p.Bits(), b.instead(p.Masked(), p.Addr()))
	}
	if err := b.verdict(p); err != nil {
		return netip.Prefix{}, err
	}
	return p, nil
}

func wrongBlock(format string, arguments ...any) (netip.Prefix, error) {
	return netip.Prefix{}, fmt.Errorf(format, arguments...)
}

// verdict returns what is wrong with a block in its canonical form.
func (b block) verdict(p netip.Prefix) error {
	if contains(p, mapped) && p.Bits() > 0 {
		return fmt.Errorf("%s holds ::ffff:0:0/96 and with it every IPv4 address; give blocks without it",
			show(p.String()))
	}
	if b.check == nil {
		return nil
	}
	return b.check(p)
}

// instead proposes the block and the one address, as far as they are given and acceptable.
func (b block) instead(whole netip.Prefix, addr netip.Addr) string {
	taken := func(p netip.Prefix) bool {
		return p.IsValid() && b.verdict(p) == nil && (b.daring == nil || !b.daring(p))
	}
	var one netip.Prefix
	if b.single && addr.IsValid() {
		one = single(addr)
	}
	switch {
	case taken(whole) && taken(one):
		return whole.String() + ", or " + one.String() + " for one address"
	case taken(whole):
		return whole.String()
	case taken(one):
		return one.String()
	}
	return "one such as " + b.example
}

// single returns the block of one address.
func single(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen())
}

// cidrs is a list of blocks. None may lie inside another: Squid ignores one of such a pair, with
// a warning.
func cidrs(limits string, n size, b block) kind[[]netip.Prefix] {
	return list(cidr("", b), limits, n, nested(contains))
}

func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Overlaps(inner)
}

// The widest block of clients without allowAnyClient. In IPv4, /8 is the largest block that one
// organisation ever got. In IPv6, /19 is the largest that internet providers commonly have
// (2003::/19, for example). clientCidrs holds at most 50 blocks, so no list comes near the whole
// internet: 50 blocks of /8 are a fifth of IPv4.
const (
	widestIPv4 = 8
	widestIPv6 = 19
)

// anyone reports whether a block of clients is wider than an organisation's, so that it needs
// allowAnyClient.
func anyone(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < widestIPv4
	}
	return p.Bits() < widestIPv6
}

// private is a block of destinations that may be opened.
var private = block{example: "172.20.0.0/16 or fd12:3456:789a::/48", single: true, check: func(p netip.Prefix) error {
	if err := destination.CheckOpening(p); err != nil {
		return fmt.Errorf("%w; leave it out", err)
	}
	return nil
}}
