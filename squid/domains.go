package squid

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// DomainLimits says in words what CheckDomain accepts.
const DomainLimits = "names in lower case such as example.com, or .example.com for it and all below it"

var (
	domainForm = regexp.MustCompile(`^\.?[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?` +
		`(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$`)
	// numberForm is the end of an IPv4 address in any spelling. No top-level domain has this form.
	numberForm = regexp.MustCompile(`(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$`)
)

// CheckDomain returns an error if s cannot be an entry of a list of domains: one name, or, behind
// a dot, a name and all names below it. Names are ASCII, as DNS has them, without a dot at the end.
func CheckDomain(s string) error {
	_, notAddress := netip.ParseAddr(strings.Trim(s, "[]"))
	_, notBlock := netip.ParsePrefix(s)
	switch {
	case notAddress == nil, notBlock == nil, numberForm.MatchString(strings.ToLower(s)):
		return errors.New("addresses belong into blockedCidrs")
	case len(strings.TrimPrefix(s, ".")) > 253:
		return errors.New("a name has at most 253 characters")
	case !domainForm.MatchString(s):
		return errors.New("a label is 1 to 63 small letters, digits, hyphens and underscores, no hyphen at an end")
	}
	return nil
}

// DomainHolds reports whether every name that entry inner matches is also one of outer's.
func DomainHolds(outer, inner string) bool {
	if !strings.HasPrefix(outer, ".") {
		return outer == inner
	}
	return strings.HasSuffix("."+strings.TrimPrefix(inner, "."), outer)
}

// checkDomains returns what is wrong with a list. Of an entry inside another one Squid warns, or
// does not start, depending on their order.
func checkDomains(path string, list []string) (problems []error) {
	for i, entry := range list {
		if err := CheckDomain(entry); err != nil {
			problems = append(problems, fmt.Errorf("%s[%d]: %q: %w", path, i, entry, err))
		}
		for j, other := range list {
			if i != j && DomainHolds(other, entry) {
				problems = append(problems, fmt.Errorf("%s[%d]: %q lies inside %q", path, i, entry, other))
				break
			}
		}
	}
	return problems
}

// domains writes the rules about destinations' names. They come before the first question to a
// name server. A name is judged as the request has it: Squid looks up neither its canonical name
// nor, because of -n, that of an address, which therefore is in no list.
func (c Config) domains(w *writer) {
	if len(c.AllowedDomains) > 0 {
		list(w, "allowed_domains dstdomain -n", c.AllowedDomains)
		w.line("http_access deny !allowed_domains")
	}
	if len(c.BlockedDomains) > 0 {
		list(w, "blocked_domains dstdomain -n", c.BlockedDomains)
		w.line("http_access deny blocked_domains")
	}
}
