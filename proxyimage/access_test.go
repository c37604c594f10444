package proxyimage

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"squidfleet/params"
	"squidfleet/squid"
)

type settings = map[string]any

const narrow = "198.51.100.0/24"

// accessValues are the choices about who may use the proxy and what others can read, each with the
// parameters that go together.
var accessValues = [][]settings{
	{{"auth": "digest"}, {"auth": "basic"}, {"auth": "any"}, {"auth": "none"}},
	{{"digest": "fleet"}, {"digest": "squid"}},
	{{"credentials": "secretsmanager"}, {"credentials": "image"}},
	{{"clientCidrs": narrow}, {"clientCidrs": "64.0.0.0/2,2000::/4"}, {"clientCidrs": "0.0.0.0/0,::/0"}},
	{{"allowAnyClient": "false"}, {"allowAnyClient": "true"}},
	{{"allowPlaintextBasic": "false"}, {"allowPlaintextBasic": "true"}},
	{{"endpoint": "public"}, {"endpoint": "internal"}},
	{{}, {"certificateArn": "arn:aws:acm:eu-west-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef"},
		{"domainName": "proxy.example.com", "hostedZoneId": "Z0123456789ABCDEFGHIJ"}},
	{{}, {"clientSecurityGroups": "sg-0123456789abcdef0", "vpcId": "vpc-0a1b2c3d4e5f60718"}},
	{{}, {"allowedDomains": "shop.example"}},
}

// combinations are all contexts with one of each choice.
func combinations() []settings {
	all := []settings{{}}
	for _, values := range accessValues {
		var longer []settings
		for _, context := range all {
			for _, value := range values {
				next := maps.Clone(context)
				maps.Copy(next, value)
				longer = append(longer, next)
			}
		}
		all = longer
	}
	return all
}

// acceptable says which combinations may be deployed.
func acceptable(c settings) bool {
	private := c["endpoint"] == "internal" || c["certificateArn"] != nil || c["domainName"] != nil
	basic := c["auth"] == "basic" || c["auth"] == "any"
	switch {
	case basic && !private && c["allowPlaintextBasic"] == "false": // passwords can be read on the way
	case c["clientCidrs"] != narrow && c["allowAnyClient"] == "false": // not meant
	case c["clientCidrs"] != narrow && c["auth"] == "none": // an open proxy
	case c["digest"] == "squid" && c["auth"] != "digest": // Squid's own knows Digest only
	case c["credentials"] == "image" && c["auth"] == "none": // there are none
	case c["clientSecurityGroups"] != nil && c["endpoint"] == "public": // groups admit private addresses
	default:
		return true
	}
	return false
}

// visitor sends a GET of a public destination to the clients' port.
type visitor struct {
	from   string // the address in the PROXY header
	scheme string // of the credentials, or ""
	right  bool   // whether they are
	to     string // the destination's name
}

// rules are the access rules of a configuration, and the lists that the visitor decides about.
type rules struct {
	auth    squid.Auth
	blocks  map[string][]netip.Prefix
	names   map[string][]string
	users   []string // lists of everybody whom a helper knows
	ordered [][]string
}

func readRules(conf string) rules {
	r := rules{auth: squid.AuthOf(conf), blocks: map[string][]netip.Prefix{}, names: map[string][]string{}}
	for line := range strings.Lines(conf) {
		words := strings.Fields(line)
		switch {
		case len(words) >= 3 && words[0] == "http_access":
			r.ordered = append(r.ordered, words)
		case len(words) < 4 || words[0] != "acl":
		case words[2] == "src" && strings.Contains(words[3], "/"): // the others are loopback
			r.blocks[words[1]] = append(r.blocks[words[1]], netip.MustParsePrefix(words[3]))
		case words[2] == "dstdomain":
			r.names[words[1]] = words[3:]
		case words[2] == "ext_user", words[2] == "proxy_auth":
			r.users = append(r.users, words[1])
		}
	}
	return r
}

// lets reports whether the first rule whose lists all match lets the visitor through. Lists that
// the visitor does not decide about are what they are for an innocent request.
func (r rules) lets(t *testing.T, v visitor) bool {
	t.Helper()
	known := v.right && (v.scheme == "Basic" && r.auth.Basic() || v.scheme == "Digest" && r.auth.Digest())
	matches := map[string]bool{
		"all": true, "known_methods": true, "http_scheme": true, "http_ports": true, "resolved": true,
		"connect": false, "manager": false, "crowd": false, "forbidden": false, "health": false, "loopback": false,
		"basic_sent": v.scheme == "Basic", "basic": known, "digest": known, "explained": !known,
	}
	for name, blocks := range r.blocks {
		matches[name] = within(v.from, blocks)
	}
	for name, names := range r.names {
		matches[name] = slices.Contains(names, v.to)
	}
	for _, name := range r.users {
		matches[name] = known
	}
	for _, words := range r.ordered {
		if !slices.ContainsFunc(words[2:], func(word string) bool {
			name, negated := strings.CutPrefix(word, "!")
			is, described := matches[name]
			if !described {
				t.Fatalf("%q asks a list that this test does not know", words)
			}
			return is == negated
		}) {
			return words[1] == "allow"
		}
	}
	return false
}

func within(address string, blocks []netip.Prefix) bool {
	a := netip.MustParseAddr(address)
	return slices.ContainsFunc(blocks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// No accepted combination of parameters makes an open proxy, or one whose passwords can be read on
// the way unless that is meant. Every other one is accepted, and serves whom it should.
func TestNoCombinationOfParametersMakesAnOpenProxy(t *testing.T) {
	for _, context := range combinations() {
		wrong := func(format string, args ...any) { t.Errorf("%v: %s", context, fmt.Sprintf(format, args...)) }
		p, err := params.Parse(context)
		if accepted := err == nil; accepted != acceptable(context) {
			wrong("accepted: %v, want %v: %v", accepted, !accepted, err)
		}
		if err != nil {
			continue
		}
		conf, err := Config(p, network).Render()
		if err != nil {
			t.Fatalf("%v: %v", context, err)
		}
		r := readRules(conf)
		for _, from := range []string{
			"198.51.100.7", "100.1.2.3", "203.0.113.9", "2600::1", "fd00::1", "10.0.7.7", "10.0.0.5",
		} {
			inside := within(from, p.ClientCidrs) ||
				context["clientSecurityGroups"] != nil && within(from, network.VpcCidrs)
			inside = inside && !within(from, network.LoadBalancerCidrs) // the load balancer's own connections
			for _, v := range []visitor{{scheme: ""}, {scheme: "Basic"}, {scheme: "Digest"},
				{scheme: "Basic", right: true}, {scheme: "Digest", right: true}} {
				offered := v.scheme == "Basic" && p.Auth.Basic() || v.scheme == "Digest" && p.Auth.Digest()
				for _, v.to = range []string{"shop.example", "other.example"} {
					v.from = from
					want := inside && (!p.Auth.Passwords() || v.right && offered) &&
						(context["allowedDomains"] == nil || v.to == "shop.example")
					if got := r.lets(t, v); got != want {
						wrong("%+v is let in: %v, want %v", v, got, want)
					}
				}
			}
		}
	}
}
