package destination

import (
	"fmt"
	"net/netip"
	"strings"
)

// Forbidden returns the addresses to refuse, as the fewest disjoint prefixes in a fixed order:
// the special-purpose ranges and the VPC's blocks without the opened ones, and the blocked ones.
// Blocking wins over opening. IPv4-mapped addresses are never among them.
//
// The opened blocks are cut out of the list. A rule that allows them would match a host name if
// any one of its addresses matches, so a name with an opened and a forbidden address would reach
// both.
func Forbidden(vpc, blocked, opened []netip.Prefix) []netip.Prefix {
	var shut []netip.Prefix
	for _, r := range Ranges() {
		shut = append(shut, r.Prefix)
	}
	shut = append(shut, vpc...)
	return Minimise(WithoutMapped(append(subtract(shut, opened), blocked...)))
}

// CheckOpening returns an error if a prefix may not be opened to clients. It may if it lies
// inside a range for private networks and holds none of AWS's metadata or credentials endpoints.
func CheckOpening(p netip.Prefix) error {
	var openable []string
	for _, r := range Ranges() {
		if !r.Openable {
			if r.Prefix.Overlaps(p) {
				return fmt.Errorf("%s can never be opened: it is %s (%s, %s)",
					p, relation(p, r.Prefix), r.Name, r.Reference)
			}
			continue
		}
		openable = append(openable, r.Prefix.String())
		if !covers(r.Prefix, p) {
			continue
		}
		for _, never := range neverOpen {
			if never.Overlaps(p) {
				return fmt.Errorf("%s can never be opened: it is %s (metadata and credentials endpoints of AWS)",
					p, relation(p, never))
			}
		}
		return nil
	}
	return fmt.Errorf("%s is not a private range: only parts of %s can be opened, everything public is open already",
		p, strings.Join(openable, ", "))
}

func relation(p, of netip.Prefix) string {
	if covers(of, p) {
		return "inside " + of.String()
	}
	return "a block around " + of.String()
}
