package nlb

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"hash/crc32"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// annotated turns "hex bytes  what they are" lines into bytes.
func annotated(t *testing.T, lines string) []byte {
	t.Helper()
	var all []byte
	for line := range strings.Lines(lines) {
		digits, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		part, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatalf("vector line %q: %v", line, err)
		}
		all = append(all, part...)
	}
	return all
}

func equalBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", hex.Dump(got), hex.Dump(want))
	}
}

// The header of a client behind a VPC endpoint, as AWS's own parser is tested
// with (aws/elastic-load-balancing-tools, Compatibility_AwsNetworkLoadBalancerTest).
func TestConnectionHeaderIsAWSsByteForByte(t *testing.T) {
	t.Parallel()
	want := annotated(t, `
		0d0a0d0a 000d0a51 5549540a  signature
		21  version 2, PROXY
		11  TCP over IPv4
		0054  84 bytes follow
		ac1f0771  client 172.31.7.113
		ac1f0a1f  node 172.31.10.31
		c8f2  client port 51442
		0050  listener port 80
		03 0004 e8d6892d  CRC-32C of all 100 bytes, this field as zero
		ea 0017  PP2_TYPE_AWS, 23 bytes
		01  VPC endpoint id
		767063652d3038643262663135666163353030316339  vpce-08d2bf15fac5001c9
		04 0024  NOOP, 36 bytes
		000000000000000000000000000000000000000000000000000000000000000000000000  filler
	`)
	got := proxyHeader(netip.MustParseAddrPort("172.31.7.113:51442"), netip.MustParseAddrPort("172.31.10.31:80"),
		"vpce-08d2bf15fac5001c9")
	equalBytes(t, got, want)
}

// A header captured from an internet-facing load balancer's UDP listener, which
// differs from a TCP listener's in one nibble (quakeservices/master#1).
func TestConnectionHeaderWithoutEndpointHasTheCapturedLayout(t *testing.T) {
	t.Parallel()
	captured := annotated(t, `
		0d0a0d0a 000d0a51 5549540a  signature
		21  version 2, PROXY
		12  UDP over IPv4
		0054  84 bytes follow
		74f0cf23  client 116.240.207.35
		ac1000c1  node 172.16.0.193: private, though the client dialled a public address
		6d06  client port 27910
		6cfc  listener port 27900
		03 0004 ccbb0757  CRC-32C
		04 003e  NOOP, 62 bytes
		00000000000000000000000000000000000000000000000000000000000000  filler
		00000000000000000000000000000000000000000000000000000000000000  filler
	`)
	resealed := bytes.Clone(captured)
	seal(resealed, 31)
	equalBytes(t, resealed, captured)

	want := bytes.Clone(captured)
	want[13] = familyTCP4
	seal(want, 31)
	got := proxyHeader(netip.MustParseAddrPort("116.240.207.35:27910"), netip.MustParseAddrPort("172.16.0.193:27900"), "")
	equalBytes(t, got, want)
}

// A health check's header as captured in kubernetes/kubernetes#57250.
func TestHealthCheckHeaderIsAWSsByteForByte(t *testing.T) {
	t.Parallel()
	equalBytes(t, localHeader(), append(annotated(t, `
		0d0a0d0a 000d0a51 5549540a  signature
		20  version 2, LOCAL
		11  TCP over IPv4, and yet no addresses
		0054  84 bytes follow
		03 0004 bce5951f  CRC-32C
		04 004a  NOOP, 74 bytes
	`), make([]byte, 74)...))
}

// An independent parser reads what was meant, whatever the address families.
func TestConnectionHeaderParses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, client, node, wantClient, wantNode string }{
		{"IPv4", "198.51.100.7:50000", "10.0.1.9:35201", "198.51.100.7:50000", "10.0.1.9:35201"},
		{"mapped IPv4 is IPv4", "[::ffff:198.51.100.7]:50000", "10.0.1.9:35201", "198.51.100.7:50000", "10.0.1.9:35201"},
		{"IPv6", "[2001:db8::7]:50000", "[2001:db8:1::9]:35201", "[2001:db8::7]:50000", "[2001:db8:1::9]:35201"},
		{"IPv6 client, IPv4 node", "[2001:db8::7]:1", "10.0.1.9:65535", "[2001:db8::7]:1", "10.0.1.9:65535"},
	} {
		for _, vpce := range []string{"", "vpce-0", "vpce-0123456789abcdef0"} {
			b := proxyHeader(netip.MustParseAddrPort(c.client), netip.MustParseAddrPort(c.node), vpce)
			if len(b) != 100 {
				t.Errorf("%s %q: %d bytes, want 100", c.name, vpce, len(b))
			}
			r := bufio.NewReader(bytes.NewReader(append(bytes.Clone(b), "rest"...)))
			h, err := proxyproto.Read(r)
			if err != nil {
				t.Errorf("%s %q: %v", c.name, vpce, err)
				continue
			}
			if got := unmapped(t, h.SourceAddr); got != c.wantClient {
				t.Errorf("%s %q: client %s, want %s", c.name, vpce, got, c.wantClient)
			}
			if got := unmapped(t, h.DestinationAddr); got != c.wantNode {
				t.Errorf("%s %q: node %s, want %s", c.name, vpce, got, c.wantNode)
			}
			tlvs, err := h.TLVs()
			if err != nil {
				t.Errorf("%s %q: TLVs: %v", c.name, vpce, err)
				continue
			}
			if got := tlvparse.FindAWSVPCEndpointID(tlvs); got != vpce {
				t.Errorf("%s: endpoint %q, want %q", c.name, got, vpce)
			}
			if rest, _ := r.Peek(4); string(rest) != "rest" {
				t.Errorf("%s %q: the header's length is wrong: %q follows", c.name, vpce, rest)
			}
			sum := tlvs[0].Value
			zeroed := bytes.Replace(b, append([]byte{tlvCRC32C, 0, 4}, sum...), []byte{tlvCRC32C, 0, 4, 0, 0, 0, 0}, 1)
			if want := crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli)); !bytes.Equal(sum,
				[]byte{byte(want >> 24), byte(want >> 16), byte(want >> 8), byte(want)}) {
				t.Errorf("%s %q: checksum %x, want %08x", c.name, vpce, sum, want)
			}
		}
	}
}

func unmapped(t *testing.T, a net.Addr) string {
	t.Helper()
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		t.Fatalf("address is a %T", a)
	}
	return addrPort(tcp).String()
}
