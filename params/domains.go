package params

import (
	"fmt"
	"strings"

	"golang.org/x/net/idna"

	"squidfleet/squid"
)

const mostDomains = 1000

// domains is a list of destinations' names. No entry may lie inside another: of such a pair Squid
// warns, or does not start, depending on their order.
func domains() kind[[]string] {
	limits := fmt.Sprintf("at most %d %s", mostDomains, squid.DomainLimits)
	return list(text(squid.DomainLimits, checkDomain), limits, size{most: mostDomains}, nested(squid.DomainHolds))
}

// checkDomain is squid.CheckDomain, and proposes the form that Squid compares.
func checkDomain(s string) error {
	err := squid.CheckDomain(s)
	if err == nil {
		return nil
	}
	if proposal := plainDomain(s); proposal != "" {
		return fmt.Errorf("%s is not in the form that names are compared in; give %s", show(s), proposal)
	}
	return fmt.Errorf("%s is no name: %w", show(s), err)
}

// plainDomain returns the entry that is probably meant: without a scheme, a path, a port, a
// wildcard or a dot at the end, in lower case, and with IDNA's form of other letters. It is empty
// if there is none.
func plainDomain(s string) string {
	if _, after, found := strings.Cut(s, "://"); found {
		s = after
	}
	s, _, _ = strings.Cut(s, "/")
	s, _, _ = strings.Cut(s, ":")
	dot := ""
	if rest, found := strings.CutPrefix(strings.TrimPrefix(s, "*"), "."); found {
		dot, s = ".", rest
	}
	s, err := idna.Lookup.ToASCII(strings.ToLower(strings.TrimSuffix(s, ".")))
	if s = dot + s; err != nil || squid.CheckDomain(s) != nil {
		return ""
	}
	return s
}
