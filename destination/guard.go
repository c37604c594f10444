package destination

import (
	"fmt"
	"net/netip"
	"strings"
)

// Forbidden returns the addresses that must be refused, as the fewest disjoint prefixes in a fixed order: the special-purpose ranges and the
// VPC's own blocks, without what is opened, and with what is blocked in addition. Blocking wins over opening. IPv4-mapped addresses are never among them.
//
// The openings are cut out of the list instead of being allowed by a rule of their own, because a rule that matches a host name matches when any
// one of its addresses does: a name with an opened and a forbidden address would then get through to both.
func Forbidden(vpc, blocked, opened []netip.Prefix) []netip.Prefix {
	var shut []netip.Prefix
	for _, r := range Ranges() {
		shut = append(shut, r.Prefix)
	}
	shut = append(shut, vpc...)
	return Minimise(WithoutMapped(append(subtract(shut, opened), blocked...)))
}

// CheckOpening reports why a prefix may not be opened to clients, or nil. It may if it lies wholly inside a range that people number their own
// networks from, and holds none of AWS's metadata or credentials endpoints.
func CheckOpening(p netip.Prefix) error {
	var openable []string
	for _, r := range Ranges() {
		if !r.Openable {
			if r.Prefix.Overlaps(p) {
				return fmt.Errorf("%s can never be opened: it is %s (%s, %s)", p, relation(p, r.Prefix), r.Name, r.Reference)
			}
			continue
		}
		openable = append(openable, r.Prefix.String())
		if !covers(r.Prefix, p) {
			continue
		}
		for _, never := range neverOpen {
			if never.Overlaps(p) {
				return fmt.Errorf("%s can never be opened: it is %s (metadata and credentials endpoints of AWS)", p, relation(p, never))
			}
		}
		return nil
	}
	return fmt.Errorf("%s is not a private range: only parts of %s can be opened, everything public is open already", p, strings.Join(openable, ", "))
}

func relation(p, of netip.Prefix) string {
	if covers(of, p) {
		return "inside " + of.String()
	}
	return "a block around " + of.String()
}
