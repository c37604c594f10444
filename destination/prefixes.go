package destination

import (
	"cmp"
	"net/netip"
	"slices"
)

// Minimise returns the same set of addresses as the fewest disjoint prefixes, IPv4 first, in the
// order of the addresses.
//
// Squid warns if one entry of an address list lies inside another, and some versions drop one of
// the two.
func Minimise(prefixes []netip.Prefix) []netip.Prefix {
	sorted := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		sorted = append(sorted, p.Masked())
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var out []netip.Prefix
	for _, p := range sorted {
		if len(out) > 0 && covers(out[len(out)-1], p) {
			continue
		}
		out = append(out, p)
		// Two halves become one block, which may be the second half of a larger one.
		for len(out) >= 2 {
			low, high := out[len(out)-2], out[len(out)-1]
			if low.Bits() == 0 || low.Bits() != high.Bits() {
				break
			}
			whole := netip.PrefixFrom(low.Addr(), low.Bits()-1).Masked()
			if !covers(whole, high) {
				break
			}
			out = append(out[:len(out)-2], whole)
		}
	}
	return out
}

// Last returns the last address of a prefix.
func Last(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes) // cannot fail: as many bytes as the first address
	return last
}

// WithoutMapped returns the prefixes without the IPv4-mapped addresses, which Squid cannot tell
// from IPv4 ones.
func WithoutMapped(prefixes []netip.Prefix) []netip.Prefix {
	return subtract(prefixes, []netip.Prefix{mapped})
}

// subtract returns the prefixes without the addresses of the cuts.
func subtract(prefixes, cuts []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		out = append(out, without(p.Masked(), cuts)...)
	}
	return out
}

func without(p netip.Prefix, cuts []netip.Prefix) []netip.Prefix {
	if slices.ContainsFunc(cuts, func(cut netip.Prefix) bool { return covers(cut, p) }) {
		return nil
	}
	if !slices.ContainsFunc(cuts, p.Overlaps) {
		return []netip.Prefix{p}
	}
	low, high := halves(p)
	return append(without(low, cuts), without(high, cuts)...)
}

func covers(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Overlaps(inner)
}

// halves splits a prefix that is shorter than its address in two.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	low = netip.PrefixFrom(p.Masked().Addr(), p.Bits()+1)
	return low, netip.PrefixFrom(Last(low).Next(), low.Bits())
}
