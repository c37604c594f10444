package destination

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// registryBlocks reads the registries' own lists, which were not made from the table under test.
func registryBlocks(t *testing.T) []netip.Prefix {
	t.Helper()
	file, err := os.ReadFile("testdata/registries.txt")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []netip.Prefix
	for text := range strings.SplitSeq(string(file), "\n") {
		if text != "" && !strings.HasPrefix(text, "#") {
			blocks = append(blocks, prefixes(text)...)
		}
	}
	return blocks
}

func TestEveryBlockOfTheRegistriesIsForbiddenFromItsFirstToItsLastAddress(t *testing.T) {
	blocks := registryBlocks(t)
	if len(blocks) < 50 {
		t.Fatalf("only %d blocks in the registries' lists", len(blocks))
	}
	forbidden := Forbidden(nil, nil, nil)
	for _, b := range blocks {
		for _, a := range []netip.Addr{b.Addr(), Last(b)} {
			if !contains(forbidden, a) {
				t.Errorf("%s of %s is not forbidden", a, b)
			}
		}
	}
}

func TestTheTableHoldsNothingThatNoRegistryLists(t *testing.T) {
	blocks := registryBlocks(t)
	for _, r := range Ranges() {
		if !slices.Contains(blocks, r.Prefix) {
			t.Errorf("%s (%s) is in no registry", r.Prefix, r.Name)
		}
		if r.Name == "" || r.Reference == "" {
			t.Errorf("%s lacks a name or a reference", r.Prefix)
		}
	}
}

func TestWhatIsPublicIsOpen(t *testing.T) {
	forbidden := Forbidden(nil, nil, nil)
	for _, address := range []string{"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255",
		"100.128.0.0", "172.15.255.255", "172.32.0.0", "223.255.255.255",
		"2000::", "2600::1", "2001:200::1", "2a00:1450::1", "2003::1", "2620:4f:8001::1",
		"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		if contains(forbidden, netip.MustParseAddr(address)) {
			t.Errorf("%s is public, and forbidden", address)
		}
	}
}

// 2000::/3 is the only block of the registry of IPv6's address space with "Global Unicast" beside
// it.
func TestAllOfIPv6ButGlobalUnicastAndMappedIsForbidden(t *testing.T) {
	open := subtract(prefixes("::/0"), Forbidden(nil, nil, nil))
	for _, p := range subtract(open, prefixes("2000::/3")) {
		if !covers(mapped, p) {
			t.Errorf("%s is open", p)
		}
	}
	for _, address := range []string{"::ffff:0:7f00:1", "::ffff:0:a9fe:a9fe", "0:0:0:ffff:0:0:a09:807",
		"64:ff9b:0:1::a9fe:a9fe", "1::1", "200::1", "400::1", "100:0:0:2::1", "4000::1", "e000::1", "fe00::1"} {
		if contains(open, netip.MustParseAddr(address)) {
			t.Errorf("%s is open", address)
		}
	}
}

// Whatever is blocked: a block around the IPv4-mapped addresses would have Squid refuse all of
// IPv4.
func TestIPv4MappedAddressesAreLeftToTheIPv4Ranges(t *testing.T) {
	for _, blocked := range [][]netip.Prefix{nil, prefixes("::/0"), prefixes("::/64", "::ffff:0:0/96")} {
		forbidden := Forbidden(nil, blocked, nil)
		for _, address := range []string{"::ffff:8.8.8.8", "::ffff:0:0", "::ffff:255.255.255.255"} {
			if contains(forbidden, netip.MustParseAddr(address)) {
				t.Errorf("with %v blocked, %s is among the forbidden", blocked, address)
			}
		}
		for _, address := range []string{"::fffe:ffff:ffff", "::1:0:0:0"} {
			if !contains(forbidden, netip.MustParseAddr(address)) {
				t.Errorf("with %v blocked, %s is open", blocked, address)
			}
		}
	}
}

// An opening opens exactly what it names, blocking wins over it, and a public VPC is forbidden too.
func TestVpcBlockedAndOpenedBlocks(t *testing.T) {
	for _, c := range []struct {
		vpc, blocked, opened []netip.Prefix
		forbidden, open      []string
	}{
		{prefixes("10.0.0.0/16"), nil, prefixes("10.20.30.0/24", "fd12:3456::/32"),
			[]string{"10.20.29.255", "10.20.31.0", "10.0.0.1", "10.255.255.255", "fd12:3457::", "fd12:3455:ffff::",
				"192.168.1.1", "169.254.170.2"},
			[]string{"10.20.30.0", "10.20.30.255", "fd12:3456::1"}},
		{nil, prefixes("10.20.30.128/25", "93.184.0.0/16"), prefixes("10.20.30.0/24"),
			[]string{"10.20.30.200", "93.184.215.14"}, []string{"10.20.30.1", "93.185.0.1"}},
		{prefixes("54.10.0.0/16", "2600:1f16:1::/56"), nil, nil,
			[]string{"54.10.0.0", "54.10.255.255", "2600:1f16:1::", "2600:1f16:1:ff:ffff:ffff:ffff:ffff"},
			[]string{"54.9.255.255", "54.11.0.0", "2600:1f16:0:ffff:ffff:ffff:ffff:ffff", "2600:1f16:1:100::"}},
	} {
		forbidden := Forbidden(c.vpc, c.blocked, c.opened)
		for want, addresses := range map[bool][]string{true: c.forbidden, false: c.open} {
			for _, address := range addresses {
				if contains(forbidden, netip.MustParseAddr(address)) != want {
					t.Errorf("%s forbidden: %v", address, !want)
				}
			}
		}
	}
}

// Whatever the order in which they are given.
func TestMinimiseKeepsTheSetAndNothingOverlaps(t *testing.T) {
	all := prefixes("10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "10.1.0.0/16", "11.0.0.0/8", "::/96", "::1/128",
		"fe80::/10", "fec0::/10")
	want := prefixes("10.0.0.0/7", "::/96", "fe80::/9")
	for range all {
		if got := Minimise(all); !slices.Equal(got, want) {
			t.Errorf("%v gives %v, want %v", all, got, want)
		}
		all = append(all[4:], all[:4]...)
	}
	if all := Minimise(prefixes("0.0.0.0/1", "128.0.0.0/1")); !slices.Equal(all, prefixes("0.0.0.0/0")) {
		t.Errorf("the two halves of IPv4 give %v", all)
	}
}

func TestWhatMayBeOpened(t *testing.T) {
	for _, ok := range []string{"10.1.2.0/24", "10.0.0.0/8", "192.168.1.1/32", "172.16.0.0/12", "100.64.0.0/10",
		"fd12:3456::/32", "fc00::/8"} {
		if err := CheckOpening(prefixes(ok)[0]); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for bad, reason := range map[string]string{
		"127.0.0.0/8":        "can never be opened: it is inside 127.0.0.0/8",
		"127.0.0.1/32":       "can never be opened: it is inside 127.0.0.0/8",
		"169.254.170.2/32":   "can never be opened: it is inside 169.254.0.0/16",
		"169.254.0.0/15":     "can never be opened: it is a block around 169.254.0.0/16",
		"0.0.0.0/0":          "can never be opened: it is a block around 0.0.0.0/8",
		"fe80::/64":          "can never be opened: it is inside fe80::/10",
		"::1/128":            "can never be opened: it is inside ::/8",
		"::/0":               "can never be opened: it is a block around ::/8",
		"::ffff:a09:807/128": "can never be opened: it is inside ::/8",
		"f000::/4":           "can never be opened: it is a block around f000::/5",
		"fc00::/6":           "can never be opened: it is a block around fe00::/9",
		"fd00:ec2::254/128":  "can never be opened: it is inside fd00:ec2::/32",
		"fd00::/16":          "can never be opened: it is a block around fd00:ec2::/32",
		"64:ff9b::a00:1/128": "can never be opened: it is inside ::/8",
		"fd00:ec2::/32":      "can never be opened: it is inside fd00:ec2::/32",
		"fd00:ec2::23/128":   "can never be opened: it is inside fd00:ec2::/32",
		"8.8.8.0/24":         "is not a private range",
		"8.0.0.0/6":          "is not a private range",
		"2600::/32":          "is not a private range",
	} {
		err := CheckOpening(prefixes(bad)[0])
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: error %v, want one with %q", bad, err, reason)
		}
	}
}
