package integration

import (
	"bufio"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"

	ranges "squidfleet/destination"
	"squidfleet/internal/rig"
)

// destination is one way to name a place, and what comes of it for a client that is allowed and
// authenticated.
type destination struct {
	host   string // as it stands in the URL or in CONNECT's target, with brackets where IPv6 needs them
	status int    // 200: served; anything else: refused, and no connection made
}

// Answers of Squid.
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

// literals spells single addresses in every way that some resolver or parser is known to read.
var literals = []destination{
	{publicIPv4.String(), served},
	{"[" + publicIPv6.String() + "]", served},
	{"[::ffff:93.184.215.14]", served},

	// 127.0.0.1
	{"127.0.0.1", refused}, {"127.1", refused}, {"127.0.1", refused}, {"2130706433", refused},
	{"0x7f000001", refused}, {"0x7f.0.0.1", refused}, {"0X7F.1", refused},
	{"0177.0.0.1", refused}, {"017700000001", refused}, {"0177.0x0.0.1", refused}, {"127.255.255.254", refused},
	{"0", refused}, {"0.0.0.0", refused}, {"0x0", refused},
	{"00000177.0.0.1", refused},
	{"[::1]", refused}, {"[0:0:0:0:0:0:0:1]", refused}, {"[0000::0001]", refused}, {"[::]", refused},
	{"[::ffff:127.0.0.1]", refused}, {"[::ffff:7f00:1]", refused}, {"[::127.0.0.1]", refused},
	// the credentials endpoint of ECS and the metadata endpoint of EC2
	{"169.254.170.2", refused}, {"169.254.169.254", refused}, {"2852039166", refused}, {"0xa9fea9fe", refused},
	{"0xA9.0xFE.0xA9.0xFE", refused}, {"0251.0376.0251.0376", refused},
	{"025177524776", refused}, {"169.16689662", refused}, {"169.254.43518", refused}, {"169.0376.0xa9.254", refused},
	{"[::ffff:169.254.169.254]", refused}, {"[::ffff:a9fe:a9fe]", refused}, {"[::FFFF:A9FE:A9FE]", refused},
	{"[0:0:0:0:0:ffff:a9fe:a9fe]", refused}, {"[::169.254.169.254]", refused},
	{"[64:ff9b::169.254.169.254]", refused}, {"[64:ff9b:1::a9fe:a9fe]", refused},
	{"[2002:a9fe:a9fe::1]", refused}, {"[2001:0:a9fe:a9fe::1]", refused}, {"[2001::5601:5601]", refused},
	{"[fd00:ec2::254]", refused}, {"[FD00:EC2::23]", refused},
	{"[::ffff:0:a9fe:a9fe]", refused}, {"[::ffff:0:169.254.169.254]", refused},
	{"[64:ff9b:0:1::a9fe:a9fe]", refused}, {"[fd00:ec2::254", notServed}, {"[::ffff:169.254.169.254", notServed},
	{"[::ffff:0:7f00:1]", refused}, {"[::1", notServed}, {"[::", notServed}, {"::1", notServed},
	{"[127.0.0.1]", notServed},
	// what nobody has been given
	{"[::fffe:ffff:ffff]", refused}, {"[::1:0:0:0]", refused}, {"[1::1]", refused}, {"[64::1]", refused},
	{"[100:0:0:2::1]", refused}, {"[200::1]", refused}, {"[400::1]", refused}, {"[800::1]", refused},
	{"[1000::1]", refused},
	{"[4000::1]", refused}, {"[5f00::1]", refused}, {"[8000::1]", refused}, {"[e000::1]", refused},
	{"[fe00::1]", refused},
	// the VPC and other private networks
	{"10.0.0.1", refused}, {"10.0.0.2", refused}, {"10.0.255.254", refused}, {"0xa.1", refused},
	{"012.0.0.1", refused}, {"167772161", refused}, {"192.168.1", refused}, {"172.31.255.255", refused},
	{"100.64.0.1", refused},
	{"[::ffff:10.0.0.1]", refused}, {"[0:0:0:0:ffff:0:a09:807]", refused}, {"[0:0:0:ffff:0:0:a09:807]", refused},
	{"[fd12:3456::1]", refused}, {"[fe80::1]", refused}, {"[fec0::1]", refused}, {"[ff02::1]", refused},
	// the proxy itself and the load balancer
	{loadBalancer.String(), refused}, {neighbour.String(), refused},
}

// names are what the DNS server of the test answers for; see setNames.
var names = []destination{
	{"origin.example", served}, {"ORIGIN.Example", served}, {"origin.example.", served}, {"v6.example", served},
	{"dual.example", served}, {"alias.example", served}, {"xn--bcher-kva.example", served},

	{"localhost", noAddress}, {"LOCALHOST", noAddress}, {"localhost.", noAddress}, {"ip6-localhost", noAddress},
	{"nowhere.example", noAddress}, {"servfail.example", noAddress}, {"empty.example", noAddress},
	{"loop.example", refused}, {"LOOP.Example.", refused}, {"metadata.example", refused},
	{"private.example", refused}, {"vpc.example", refused}, {"unspecified.example", refused},
	{"private6.example", refused}, {"linklocal6.example", refused}, {"mapped.example", refused},
	{"mappedloop.example", refused}, {"compatible.example", refused}, {"nat64.example", refused},
	{"sixtofour.example", refused}, {"teredo.example", refused},
	{"translated.example", refused}, {"reserved6.example", refused}, {"nobodys6.example", refused},
	{"mixed.example", refused}, {"mixed-last.example", refused}, {"mixed6.example", refused},
	{"mixed46.example", refused}, {"late6.example", refused},
	{"alias-private.example", refused}, {"alias-chain.example", refused}, {"xn--intern-kva.example", refused},
	// Squid does not turn names into the form that DNS has for them: it asks for the bytes.
	{"bücher.example", noAddress}, {"BÜCHER.example", noAddress}, {"straße.example", refused},
}

func setNames(d *rig.DNS) {
	public, private := publicIPv4.String(), "10.9.8.7"
	d.Set("origin.example", public)
	d.Set("v6.example", publicIPv6.String())
	d.Set("dual.example", public, publicIPv6.String())
	d.Set("xn--bcher-kva.example", public)
	d.Set("garbage.example", public)
	d.Set("closing.example", public)
	d.Set("loop.example", "127.0.0.1")
	d.Set("metadata.example", "169.254.169.254")
	d.Set("private.example", private)
	d.Set("vpc.example", "10.0.77.7")
	d.Set("unspecified.example", "0.0.0.0")
	d.Set("private6.example", "fd12:3456::1")
	d.Set("linklocal6.example", "fe80::1")
	d.Set("mapped.example", "::ffff:10.9.8.7")
	d.Set("mappedloop.example", "::ffff:127.0.0.1")
	d.Set("compatible.example", "::10.9.8.7")
	d.Set("nat64.example", "64:ff9b::10.9.8.7")
	d.Set("sixtofour.example", "2002:a09:807::1")
	d.Set("teredo.example", "2001:0:a09:807::1")
	d.Set("translated.example", "::ffff:0:a09:807")
	d.Set("reserved6.example", "4000::1")
	d.Set("nobodys6.example", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	d.Set(`stra\195\159e.example`, private) // straße in UTF-8
	d.Set("mixed.example", private, public)
	d.Set("mixed-last.example", public, otherPublic.String(), private)
	d.Set("mixed6.example", publicIPv6.String(), "fd12:3456::1")
	d.Set("mixed46.example", public, "fd12:3456::1")
	d.Set("xn--intern-kva.example", private)
	d.SetFunc("empty.example", func(rig.Question) rig.Answer { return rig.Answer{TTL: 60} })
	d.SetFunc("servfail.example", func(rig.Question) rig.Answer { return rig.Answer{Rcode: dns.RcodeServerFailure} })
	// The public IPv4 address comes at once, the private IPv6 one later.
	d.SetFunc("late6.example", func(q rig.Question) rig.Answer {
		if q.IPv6 {
			return rig.Answer{TTL: 60, Addresses: []netip.Addr{netip.MustParseAddr("fd12:3456::1")}, Delay: lateAnswer}
		}
		return rig.Answer{TTL: 60, Addresses: []netip.Addr{publicIPv4}}
	})
	for name, target := range map[string]string{"alias.example": public, "alias-private.example": private} {
		d.SetFunc(name, func(rig.Question) rig.Answer {
			return rig.Answer{TTL: 60, CNAMEs: []string{"target.example"},
				Addresses: []netip.Addr{netip.MustParseAddr(target)}}
		})
	}
	d.SetFunc("alias-chain.example", func(rig.Question) rig.Answer {
		return rig.Answer{TTL: 60, CNAMEs: []string{"a.example", "origin.example.net", "b.example"},
			Addresses: []netip.Addr{netip.MustParseAddr("169.254.170.2")}}
	})
}

// registryAddresses are the first and the last address of each block of the registries' own lists.
func registryAddresses(t *testing.T) []destination {
	t.Helper()
	file, err := os.Open("../destination/testdata/registries.txt")
	if err != nil {
		t.Fatal(err)
	}
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
	{"GET", "http://origin.example@10.9.8.7/", refused},
	{"GET", "http://origin.example:80@10.9.8.7/", refused},
	{"GET", "http://10.9.8.7@origin.example/", served},
	{"GET", "http://10.9.8.7#@origin.example/", notServed},
	{"GET", "http://10.9.8.7?@origin.example/", notServed},
	{"GET", `http://origin.example\@10.9.8.7/`, notServed},
	{"GET", "http://[::ffff:10.9.8.7]:80/", refused},
	{"GET", "http://[fe80::1%25lo]/", notServed},
	{"GET", "http://[fe80::1%lo]/", notServed},
	{"GET", "http://%31%30.9.8.7/", notServed},
	{"GET", "http://10%2e9%2e8%2e7/", notServed},
	{"GET", "http://１０.9.8.7/", notServed},
	{"GET", "http://10。9。8。7/", notServed},
	{"GET", "http://①⓪.9.8.7/", notServed},
	{"GET", "http://in\u00adtern.example/", notServed},
	{"CONNECT", "in\u00adtern.example:443", notServed},
	{"GET", "http://10.9.8.7./", refused},
	{"GET", "http://10.9.8.7../", notServed},
	{"GET", "http:///10.9.8.7/", notServed},
	{"GET", "http://:80/", notServed},
	{"GET", "http:10.9.8.7/", notServed},
	{"GET", "http://169.254.169.254:80:80/", notServed},
	{"GET", "http://10.9.8.7:/", notServed},
	{"GET", "http://10.9.8.7\t/", notServed},
	{"GET", "http://93.184.215.14 &@2.2.2.2# @10.9.8.7/", notServed},
	{"GET", "http://origin.example/a b", badRequest},
	{"GET", "//10.9.8.7/", badRequest},
	{"GET", "/", badRequest},
	// ports
	{"GET", "http://origin.example:80/", served},
	{"GET", "http://origin.example:8080/", refused},
	{"GET", "http://origin.example:22/", refused},
	{"GET", "http://origin.example:443/", refused},
	{"GET", "http://origin.example:0/", badRequest},
	{"GET", "http://origin.example:65616/", badRequest}, // 80 and 65536
	{"CONNECT", "origin.example:80", refused},
	{"CONNECT", "origin.example:22", refused},
	{"CONNECT", "origin.example:25", refused},
	{"CONNECT", "origin.example:35201", refused},
	{"CONNECT", "10.9.8.7:443:443", notServed},
	{"CONNECT", "origin.example:65979", badRequest}, // 443 and 65536
	// CONNECT to what is hardly a host and a port: Squid takes 443 for a port that is missing, and
	// leaves out what is behind one
	{"CONNECT", "origin.example", publicOnly},
	{"CONNECT", "origin.example:", publicOnly},
	{"CONNECT", "10.9.8.7", notServed},
	{"CONNECT", "fd12:3456::1:443", notServed},
	{"CONNECT", "[fd12:3456::1:443", notServed},
	{"CONNECT", "[::1:443", notServed},
	{"CONNECT", "origin.example:443/path", publicOnly},
	{"CONNECT", "origin.example:443?10.9.8.7", publicOnly},
	{"CONNECT", "origin.example:443#10.9.8.7", publicOnly},
	{"CONNECT", "origin.example:443@10.9.8.7:443", publicOnly},
	{"CONNECT", "origin.example:443 10.9.8.7:443", publicOnly},
	{"CONNECT", "10.9.8.7:443/", notServed},
	{"CONNECT", "10.9.8.7:443@origin.example:443", notServed},
	{"CONNECT", "alice:x@origin.example:443", notServed},
	{"CONNECT", "alice@10.9.8.7:443", notServed},
	{"CONNECT", "http://origin.example:443", notServed},
	{"CONNECT", "http://10.9.8.7:443/", notServed},
	{"CONNECT", "*", notServed},
	{"CONNECT", "/", notServed},
	// methods
	{"HEAD", "http://origin.example/", served},
	{"OPTIONS", "http://origin.example/", served},
	{"PUT", "http://origin.example/", served},
	{"PATCH", "http://origin.example/", served},
	{"DELETE", "http://origin.example/", served},
	{"POST", "http://10.9.8.7/", refused},
	{"TRACE", "http://origin.example/", refused},
	{"PURGE", "http://origin.example/", refused},
	{"PROPFIND", "http://origin.example/", refused},
	{"MADEUP", "http://origin.example/", refused},
	{"get", "http://origin.example/", notServed},
	{"OPTIONS", "*", notServed},
	{"PRI", "*", notServed},
	// schemes
	{"GET", "https://origin.example/", refused},
	{"GET", "https://origin.example:80/", refused},
	{"GET", "ftp://origin.example/", refused},
	{"GET", "ftp://origin.example:80/", refused},
	{"GET", "gopher://origin.example/", notServed},
	{"GET", "whois://origin.example:80/", refused},
	{"GET", "ws://origin.example/", notServed},
	{"GET", "foo://u:p@origin.example/", notServed},
	{"GET", "foo://u:p@10.9.8.7/", notServed},
	{"GET", "file:///etc/passwd", notServed},
	{"GET", "urn:isbn:0451450523", notServed},
	{"GET", "urn:http://10.9.8.7/", notServed},
	{"GET", "cache_object://origin.example/info", notServed},
	{"GET", "cache_object://10.9.8.7/info", notServed},
	// Squid's own pages
	{"GET", "/squid-internal-mgr/menu", refused},
	{"GET", "/squid-internal-static/icons/SN.png", notServed},
	{"GET", "http://origin.example/squid-internal-mgr/menu", refused},
	{"GET", "http://proxy.invalid/squid-internal-mgr/menu", refused},
	{"GET", "http://127.0.0.1/squid-internal-mgr/menu", refused},
	{"GET", "http://origin.example/squid-internal-static/icons/SN.png", served}, // the origin's, not Squid's
	{"GET", "http://proxy.invalid/squid-internal-periodic/store_digest", noAddress},
}
