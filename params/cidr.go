package params

import (
	"fmt"
	"net/netip"
	"strings"

	"squidfleet/destination"
)

// mapped is where IPv6 writes IPv4 addresses. Squid stores every IPv4 address in this form, so that an address list with a block around it
// matches the whole of IPv4: ::/64, for example, does (tried with Squid 5.7). The list that is written leaves it out; who gives such a block, ::/0
// aside, has probably made a mistake.
var mapped = netip.MustParsePrefix("::ffff:0:0/96")

// block says which blocks of addresses a parameter is about.
type block struct {
	example string
	single  bool                     // whether the block of one address makes sense
	check   func(netip.Prefix) error // what else is wrong; may be nil
	daring  func(netip.Prefix) bool  // what is taken only when another parameter says so, and never proposed; may be nil
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
			return netip.Prefix{}, fmt.Errorf("%s is not a CIDR block; give a string such as %s", show(value), b.example)
		}
		return b.parse(s)
	})
}

func (b block) parse(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.Prefix{}, fmt.Errorf("%s is an address, not a CIDR block; give %s", show(s), b.instead(netip.Prefix{}, addr))
	}
	if address, _, _ := strings.Cut(s, "/"); strings.Contains(address, "%") {
		return netip.Prefix{}, fmt.Errorf("%s has a zone, which only means something on one machine; drop what starts with the %%", show(s))
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not a CIDR block; give one such as %s", show(s), b.example)
	}
	if p.Addr().Is4In6() && p.Bits() >= mapped.Bits() {
		unmapped := netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped.Bits()).Masked()
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4 block written as IPv6; give %s", show(s), b.instead(unmapped, netip.Addr{}))
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s has bits set after the first %d; give %s", show(s), p.Bits(), b.instead(p.Masked(), p.Addr()))
	}
	if err := b.verdict(p); err != nil {
		return netip.Prefix{}, err
	}
	return p, nil
}

// verdict returns what is wrong with a block in its canonical form.
func (b block) verdict(p netip.Prefix) error {
	if contains(p, mapped) && p.Bits() > 0 {
		return fmt.Errorf("%s holds ::ffff:0:0/96 and with it every IPv4 address; give blocks without it", show(p.String()))
	}
	if b.check == nil {
		return nil
	}
	return b.check(p)
}

// instead proposes the block and the one address, as far as they are given and would be taken.
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
		return whole.String() + " for the block or " + one.String() + " for the one address"
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

// cidrs is a list of blocks of which none lies inside another: Squid ignores one of such a pair, with a warning.
func cidrs(limits string, n size, b block) kind[[]netip.Prefix] {
	return list(cidr("", b), limits, n, func(earlier, later netip.Prefix, path string, i int) string {
		switch {
		case contains(earlier, later):
			return fmt.Sprintf("%s lies inside %s of %s[%d]; drop %s", later, earlier, path, i, later)
		case contains(later, earlier):
			return fmt.Sprintf("%s contains %s of %s[%d]; drop %s", later, earlier, path, i, earlier)
		}
		return ""
	})
}

func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Overlaps(inner)
}

// The widest block of clients that is taken for an organisation's own: /8 is the largest that was ever handed to one in IPv4, and /19 the
// largest that internet providers commonly hold in IPv6 (2003::/19, for example). Together with the limit on the length of clientCidrs it means
// that no list of such blocks, halves or quarters of the internet among them, comes near "everyone": 50 blocks of /8 are a fifth of IPv4.
const (
	widestIPv4 = 8
	widestIPv6 = 19
)

// anyone reports whether a block of clients is wider than an organisation's, so that it needs allowAnyClient.
func anyone(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < widestIPv4
	}
	return p.Bits() < widestIPv6
}

// private is a block of destinations that may be opened: destination's verdict, with the way out.
var private = block{example: "172.20.0.0/16 or fd12:3456:789a::/48", single: true, check: func(p netip.Prefix) error {
	if err := destination.CheckOpening(p); err != nil {
		return fmt.Errorf("%w; leave it out", err)
	}
	return nil
}}
