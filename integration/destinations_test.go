package integration

import (
	"bufio"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	ranges "squidfleet/destination"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// destination is one way to name a place, and what comes of it for a client that is allowed and
// authenticated.
type destination struct {
	host   string // as it stands in the URL or in CONNECT's target, with brackets where IPv6 needs them
	status int    // 200: served; anything else: refused, and no connection made
}

const (
	served     = 200
	badRequest = 400 // not a URL for Squid
	refused    = 403
	noAddress  = 503 // the name has no address
	// publicOnly is for what is hardly a target. Whether it is served depends on who checks
	// credentials, and what is reached is public in any case.
	publicOnly = -2
	// notServed is any error. Which one depends on how a version of Squid reads what is hardly a
	// URL, and writes it in the form that the credentials are held against.
	notServed = -1
)

// hosts are destinations of the same status, with spaces in between.
func hosts(status int, lists ...string) (all []destination) {
	for _, host := range strings.Fields(strings.Join(lists, " ")) {
		all = append(all, destination{host, status})
	}
	return all
}

// literals spells single addresses in every way that some resolver or parser is known to read.
var literals = slices.Concat(
	hosts(served,
		publicIPv4.String(), "["+publicIPv6.String()+"] [::ffff:93.184.215.14]"),
	hosts(refused,
		// 127.0.0.1
		"127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0X7F.1 0177.0.0.1 017700000001 0177.0x0.0.1",
		"127.255.255.254 0 0.0.0.0 0x0 00000177.0.0.1 [::1] [0:0:0:0:0:0:0:1] [0000::0001] [::]",
		"[::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1]",
		// the credentials endpoint of ECS and the metadata endpoint of EC2
		"169.254.170.2 169.254.169.254 2852039166 0xa9fea9fe 0xA9.0xFE.0xA9.0xFE 0251.0376.0251.0376",
		"025177524776 169.16689662 169.254.43518 169.0376.0xa9.254 [::ffff:169.254.169.254] [::ffff:a9fe:a9fe]",
		"[::FFFF:A9FE:A9FE] [0:0:0:0:0:ffff:a9fe:a9fe] [::169.254.169.254] [64:ff9b::169.254.169.254]",
		"[64:ff9b:1::a9fe:a9fe] [2002:a9fe:a9fe::1] [2001:0:a9fe:a9fe::1] [2001::5601:5601] [fd00:ec2::254]",
		"[FD00:EC2::23] [::ffff:0:a9fe:a9fe] [::ffff:0:169.254.169.254] [64:ff9b:0:1::a9fe:a9fe]",
		"[::ffff:0:7f00:1]",
		// what nobody has been given
		"[::fffe:ffff:ffff] [::1:0:0:0] [1::1] [64::1] [100:0:0:2::1] [200::1] [400::1] [800::1] [1000::1]",
		"[4000::1] [5f00::1] [8000::1] [e000::1] [fe00::1]",
		// the VPC and other private networks
		"10.0.0.1 10.0.0.2 10.0.255.254 0xa.1 012.0.0.1 167772161 192.168.1 172.31.255.255 100.64.0.1",
		"[::ffff:10.0.0.1] [0:0:0:0:ffff:0:a09:807] [0:0:0:ffff:0:0:a09:807] [fd12:3456::1] [fe80::1] [fec0::1]",
		"[ff02::1]",
		// the proxy itself and the load balancer
		loadBalancer.String(), neighbour.String()),
	hosts(notServed, "[fd00:ec2::254 [::ffff:169.254.169.254 [::1 [:: ::1 [127.0.0.1]"),
)

// names are what the DNS server of the test answers for; see setNames.
var names = slices.Concat(
	hosts(served,
		"origin.example ORIGIN.Example origin.example. v6.example dual.example alias.example",
		"xn--bcher-kva.example"),
	hosts(noAddress,
		"localhost LOCALHOST localhost. ip6-localhost nowhere.example servfail.example empty.example",
		// Squid does not turn names into the form that DNS has for them: it asks for the bytes.
		"bücher.example BÜCHER.example"),
	hosts(refused,
		"loop.example LOOP.Example. metadata.example private.example vpc.example unspecified.example",
		"private6.example linklocal6.example mapped.example mappedloop.example compatible.example nat64.example",
		"sixtofour.example teredo.example translated.example reserved6.example nobodys6.example mixed.example",
		"mixed-last.example mixed6.example mixed46.example late6.example alias-private.example",
		"alias-chain.example xn--intern-kva.example",
		// Squid does not turn names into the form that DNS has for them: it asks for the bytes.
		"straße.example"),
)

func setNames(d *rig.DNS) {
	public, private := publicIPv4.String(), "10.9.8.7"
	for name, addresses := range map[string][]string{
		"origin.example": {public}, "v6.example": {publicIPv6.String()},
		"dual.example": {public, publicIPv6.String()}, "xn--bcher-kva.example": {public},
		"garbage.example": {public}, "closing.example": {public}, "loop.example": {"127.0.0.1"},
		"metadata.example": {"169.254.169.254"}, "private.example": {private}, "vpc.example": {"10.0.77.7"},
		"unspecified.example": {"0.0.0.0"}, "private6.example": {"fd12:3456::1"},
		"linklocal6.example": {"fe80::1"}, "mapped.example": {"::ffff:10.9.8.7"},
		"mappedloop.example": {"::ffff:127.0.0.1"}, "compatible.example": {"::10.9.8.7"},
		"nat64.example": {"64:ff9b::10.9.8.7"}, "sixtofour.example": {"2002:a09:807::1"},
		"teredo.example": {"2001:0:a09:807::1"}, "translated.example": {"::ffff:0:a09:807"},
		"reserved6.example": {"4000::1"}, "nobodys6.example": {"1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"mixed.example": {private, public}, `stra\195\159e.example`: {private}, // straße in UTF-8
		"mixed-last.example": {public, otherPublic.String(), private},
		"mixed6.example":     {publicIPv6.String(), "fd12:3456::1"}, "mixed46.example": {public, "fd12:3456::1"},
		"xn--intern-kva.example": {private},
	} {
		d.Set(name, addresses...)
	}
	// The public IPv4 address comes at once, the private IPv6 one later.
	d.SetFunc("late6.example", func(ipv6 bool) rig.Answer {
		if ipv6 {
			time.Sleep(lateAnswer)
		}
		return rig.Answer{Addresses: []netip.Addr{publicIPv4, netip.MustParseAddr("fd12:3456::1")}}
	})
	for name, answer := range map[string]rig.Answer{
		"empty.example":    {},
		"servfail.example": {Rcode: dns.RcodeServerFailure},
		"alias.example":    {CNAMEs: []string{"target.example"}, Addresses: []netip.Addr{publicIPv4}},
		"alias-private.example": {
			CNAMEs: []string{"target.example"}, Addresses: []netip.Addr{netip.MustParseAddr(private)},
		},
		"alias-chain.example": {
			CNAMEs:    []string{"a.example", "origin.example.net", "b.example"},
			Addresses: []netip.Addr{netip.MustParseAddr("169.254.170.2")},
		},
	} {
		d.SetFunc(name, func(bool) rig.Answer { return answer })
	}
}

// registryAddresses are the first and the last address of each block of the registries' own lists.
func registryAddresses(t *testing.T) []destination {
	t.Helper()
	file, err := os.Open("../destination/testdata/registries.txt")
	must.OK(t, err)
	defer file.Close()
	seen := map[netip.Addr]bool{}
	var out []destination
	for lines := bufio.NewScanner(file); lines.Scan(); {
		text := lines.Text()
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		block := netip.MustParsePrefix(text)
		for _, a := range []netip.Addr{block.Addr(), ranges.Last(block)} {
			if !seen[a] {
				seen[a] = true
				out = append(out, destination{bracketed(a), refused})
			}
		}
	}
	return out
}

// aroundMapped are the first and the last address of each block that lies next to the IPv4-mapped
// addresses, from the neighbour of the same size to half of ::/8. All of them are reserved.
func aroundMapped() []destination {
	mapped := netip.MustParseAddr("::ffff:0:0").As16()
	var out []destination
	for length := 9; length <= 96; length++ {
		next := mapped
		next[(length-1)/8] ^= 1 << (7 - (length-1)%8)
		block := netip.PrefixFrom(netip.AddrFrom16(next), length).Masked()
		out = append(out, destination{bracketed(block.Addr()), refused},
			destination{bracketed(ranges.Last(block)), refused})
	}
	return out
}

func bracketed(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// requests are whole targets that are not simply a scheme, a host and a port.
var requests = []struct {
	method, target string
	status         int
}{
	// userinfo and other things that look like a host
	{"GET", "http://origin.example@10.9.8.7/", refused}, {"GET", "http://origin.example:80@10.9.8.7/", refused},
	{"GET", "http://10.9.8.7@origin.example/", served}, {"GET", "http://10.9.8.7#@origin.example/", notServed},
	{"GET", "http://10.9.8.7?@origin.example/", notServed}, {"GET", `http://origin.example\@10.9.8.7/`, notServed},
	{"GET", "http://[::ffff:10.9.8.7]:80/", refused}, {"GET", "http://[fe80::1%25lo]/", notServed},
	{"GET", "http://[fe80::1%lo]/", notServed}, {"GET", "http://%31%30.9.8.7/", notServed},
	{"GET", "http://10%2e9%2e8%2e7/", notServed}, {"GET", "http://１０.9.8.7/", notServed},
	{"GET", "http://10。9。8。7/", notServed}, {"GET", "http://①⓪.9.8.7/", notServed},
	{"GET", "http://in\u00adtern.example/", notServed}, {"CONNECT", "in\u00adtern.example:443", notServed},
	{"GET", "http://10.9.8.7./", refused}, {"GET", "http://10.9.8.7../", notServed},
	{"GET", "http:///10.9.8.7/", notServed}, {"GET", "http://:80/", notServed}, {"GET", "http:10.9.8.7/", notServed},
	{"GET", "http://169.254.169.254:80:80/", notServed}, {"GET", "http://10.9.8.7:/", notServed},
	{"GET", "http://10.9.8.7\t/", notServed}, {"GET", "http://93.184.215.14 &@2.2.2.2# @10.9.8.7/", notServed},
	{"GET", "http://origin.example/a b", badRequest}, {"GET", "//10.9.8.7/", badRequest}, {"GET", "/", badRequest},
	// ports
	{"GET", "http://origin.example:80/", served}, {"GET", "http://origin.example:8080/", refused},
	{"GET", "http://origin.example:22/", refused}, {"GET", "http://origin.example:443/", refused},
	{"GET", "http://origin.example:0/", badRequest},
	{"GET", "http://origin.example:65616/", badRequest}, // 80 and 65536
	{"CONNECT", "origin.example:80", served}, {"CONNECT", "10.9.8.7:80", refused},
	{"CONNECT", "169.254.169.254:80", refused}, {"CONNECT", "metadata.example:80", refused},
	{"CONNECT", "origin.example:8080", refused}, {"CONNECT", "origin.example:22", refused},
	{"CONNECT", "origin.example:25", refused}, {"CONNECT", "origin.example:35201", refused},
	{"CONNECT", "10.9.8.7:443:443", notServed},
	{"CONNECT", "origin.example:65979", badRequest}, // 443 and 65536
	// CONNECT to what is hardly a host and a port: Squid takes 443 for a port that is missing, and
	// leaves out what is behind one
	{"CONNECT", "origin.example", publicOnly}, {"CONNECT", "origin.example:", publicOnly},
	{"CONNECT", "10.9.8.7", notServed}, {"CONNECT", "fd12:3456::1:443", notServed},
	{"CONNECT", "[fd12:3456::1:443", notServed}, {"CONNECT", "[::1:443", notServed},
	{"CONNECT", "origin.example:443/path", publicOnly}, {"CONNECT", "origin.example:443?10.9.8.7", publicOnly},
	{"CONNECT", "origin.example:443#10.9.8.7", publicOnly},
	{"CONNECT", "origin.example:443@10.9.8.7:443", publicOnly},
	{"CONNECT", "origin.example:443 10.9.8.7:443", publicOnly}, {"CONNECT", "10.9.8.7:443/", notServed},
	{"CONNECT", "10.9.8.7:443@origin.example:443", notServed}, {"CONNECT", "alice:x@origin.example:443", notServed},
	{"CONNECT", "alice@10.9.8.7:443", notServed}, {"CONNECT", "http://origin.example:443", notServed},
	{"CONNECT", "http://10.9.8.7:443/", notServed}, {"CONNECT", "*", notServed}, {"CONNECT", "/", notServed},
	// methods
	{"HEAD", "http://origin.example/", served}, {"OPTIONS", "http://origin.example/", served},
	{"PUT", "http://origin.example/", served}, {"PATCH", "http://origin.example/", served},
	{"DELETE", "http://origin.example/", served}, {"POST", "http://10.9.8.7/", refused},
	{"TRACE", "http://origin.example/", refused}, {"PURGE", "http://origin.example/", refused},
	{"PROPFIND", "http://origin.example/", refused}, {"MADEUP", "http://origin.example/", refused},
	{"get", "http://origin.example/", publicOnly}, {"OPTIONS", "*", notServed}, {"PRI", "*", notServed},
	// schemes
	{"GET", "https://origin.example/", refused}, {"GET", "https://origin.example:80/", refused},
	{"GET", "ftp://origin.example/", refused}, {"GET", "ftp://origin.example:80/", refused},
	{"GET", "gopher://origin.example/", notServed}, {"GET", "whois://origin.example:80/", refused},
	{"GET", "ws://origin.example/", notServed}, {"GET", "foo://u:p@origin.example/", notServed},
	{"GET", "foo://u:p@10.9.8.7/", notServed}, {"GET", "file:///etc/passwd", notServed},
	{"GET", "urn:isbn:0451450523", notServed}, {"GET", "urn:http://10.9.8.7/", notServed},
	{"GET", "cache_object://origin.example/info", notServed}, {"GET", "cache_object://10.9.8.7/info", notServed},
	// Squid's own pages
	{"GET", "/squid-internal-mgr/menu", refused}, {"GET", "/squid-internal-static/icons/SN.png", notServed},
	{"GET", "http://origin.example/squid-internal-mgr/menu", refused},
	{"GET", "http://proxy.invalid/squid-internal-mgr/menu", refused},
	{"GET", "http://127.0.0.1/squid-internal-mgr/menu", refused},
	// the proxy's own ports, where they are among httpPorts
	{"GET", "http://proxy.invalid:35201/squid-internal-mgr/menu", refused},
	{"GET", "http://proxy.invalid:35202/squid-internal-mgr/info", refused},
	{"GET", "http://127.0.0.1:35201/squid-internal-mgr/config", refused},
	{"GET", "http://127.0.0.1:35202/squid-internal-mgr/shutdown", refused},
	{"GET", "http://origin.example/squid-internal-static/icons/SN.png", served}, // the origin's, not Squid's
	{"GET", "http://proxy.invalid/squid-internal-periodic/store_digest", noAddress},
}
