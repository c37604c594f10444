package proxyimage

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"squidfleet/params"
	"squidfleet/squid"
)

// accessValues are values of every parameter that decides who may use the proxy.
var accessValues = []struct {
	key    string
	values []string
}{
	{"auth", []string{"digest", "basic", "any", "none"}},
	{"digest", []string{"fleet", "squid"}},
	{"credentials", []string{"secretsmanager", "image"}},
	{"clientCidrs", []string{"198.51.100.0/24", "64.0.0.0/2,2000::/4", "0.0.0.0/0,::/0"}},
	{"allowAnyClient", []string{"false", "true"}},
	{"allowPlaintextBasic", []string{"false", "true"}},
}

// combinations are all contexts with one of the values of each key.
func combinations() []map[string]any {
	all := []map[string]any{{}}
	for _, v := range accessValues {
		var longer []map[string]any
		for _, context := range all {
			for _, value := range v.values {
				next := map[string]any{v.key: value}
				for key, value := range context {
					next[key] = value
				}
				longer = append(longer, next)
			}
		}
		all = longer
	}
	return all
}

// visitor sends a GET of a public destination to the clients' port.
type visitor struct {
	from   string // the address in the PROXY header
	scheme string // of the credentials, or ""
	right  bool   // whether they are
}

// lets reports whether a configuration's rules let the visitor through: the first one decides that
// all of its lists match. Only lists that the visitor decides about are looked into. Of all others
// it takes what they are for an innocent request.
func lets(t *testing.T, conf string, v visitor) bool {
	t.Helper()
	auth := squid.AuthOf(conf)
	known := v.right && (v.scheme == "Basic" && auth.Basic() || v.scheme == "Digest" && auth.Digest())
	matches := map[string]bool{
		"all": true, "known_methods": true, "http_scheme": true, "http_ports": true, "resolved": true,
		"connect": false, "manager": false, "crowd": false, "forbidden": false, "health": false, "guessing": false,
		"basic_sent": v.scheme == "Basic", "basic": known, "digest": known, "challenged": !known,
	}
	for line := range strings.Lines(conf) {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != "acl" {
			continue
		}
		switch name := words[1]; words[2] {
		case "src":
			within := netip.MustParsePrefix
			if !strings.Contains(words[3], "/") {
				continue // loopback, for the PROXY header
			}
			matches[name] = matches[name] || within(words[3]).Contains(netip.MustParseAddr(v.from))
		case "ext_user", "proxy_auth":
			matches[name] = known
		}
	}
	for line := range strings.Lines(conf) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "http_access" {
			continue
		}
		if !slices.ContainsFunc(words[2:], func(word string) bool {
			name, negated := strings.CutPrefix(word, "!")
			is, described := matches[name]
			if !described {
				t.Fatalf("%q asks a list that this test does not know", line)
			}
			return is == negated
		}) {
			return words[1] == "allow"
		}
	}
	return false
}

// No accepted combination of parameters makes an open proxy.
func TestNoCombinationOfParametersMakesAnOpenProxy(t *testing.T) {
	network := Network{LoadBalancerCidrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/28")},
		VpcCidrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}
	accepted := map[squid.Auth]int{}
	for _, context := range combinations() {
		p, err := params.Parse(context)
		if err != nil {
			continue
		}
		accepted[p.Auth]++
		conf, err := Config(p, network).Render()
		if err != nil {
			t.Fatalf("%v: %v", context, err)
		}
		wrong := func(format string, args ...any) { t.Errorf("%v: %s", context, fmt.Sprintf(format, args...)) }
		if p.Auth.Basic() && !p.AllowPlaintextBasic {
			wrong("passwords can be read on the way")
		}
		if !p.Auth.Passwords() && p.AllowAnyClient && context["clientCidrs"] != "198.51.100.0/24" {
			wrong("everybody is a client, and nobody needs a password")
		}
		for _, from := range []string{"198.51.100.7", "100.1.2.3", "203.0.113.9", "2600::1", "fd00::1", "10.0.0.5"} {
			inside := slices.ContainsFunc(p.ClientCidrs, func(c netip.Prefix) bool {
				return c.Contains(netip.MustParseAddr(from))
			}) && from != "10.0.0.5" // the load balancer's own connections
			for _, v := range []visitor{{from, "", false}, {from, "Basic", false}, {from, "Digest", false},
				{from, "Basic", true}, {from, "Digest", true}} {
				offered := v.scheme == "Basic" && p.Auth.Basic() || v.scheme == "Digest" && p.Auth.Digest()
				want := inside && (!p.Auth.Passwords() || v.right && offered)
				if got := lets(t, conf, v); got != want {
					wrong("%+v is let in: %v, want %v", v, got, want)
				}
			}
		}
	}
	// Both verifiers or one, both places of passwords or one, the blocks that are allowed, and what
	// is allowed in vain.
	blocks := 1 + 3 // narrow ones, and any with allowAnyClient
	want := map[squid.Auth]int{
		squid.AuthDigest: 2 * 2 * blocks * 2, squid.AuthBasic: 2 * blocks, squid.AuthAny: 2 * blocks,
		squid.AuthNone: (1 + 1) * 2,
	}
	for auth, n := range want {
		if accepted[auth] != n {
			t.Errorf("%s: %d combinations are accepted, want %d", auth, accepted[auth], n)
		}
	}
}
