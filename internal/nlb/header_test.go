package nlb

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"

	"squidfleet/internal/must"
)

// annotated turns "hex bytes  what they are" lines into bytes.
func annotated(t *testing.T, lines string) []byte {
	t.Helper()
	var all []byte
	for line := range strings.Lines(lines) {
		digits, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		part, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		must.OK(t, err)
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

// A header captured from an internet-facing load balancer's UDP listener, which differs from a TCP
// listener's in one nibble (quakeservices/master#1).
func TestConnectionHeaderIsAWSsByteForByte(t *testing.T) {
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
	addresses := captured[16:28]
	equalBytes(t, header(byte(proxyproto.PROXY), byte(proxyproto.UDPv4), addresses), captured)
	equalBytes(t,
		proxyHeader(netip.MustParseAddrPort("116.240.207.35:27910"), netip.MustParseAddrPort("172.16.0.193:27900")),
		header(byte(proxyproto.PROXY), byte(proxyproto.TCPv4), addresses))
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

// Addresses of two families are both written as IPv6.
func TestConnectionHeaderHoldsAnyFamily(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ client, node, wantClient string }{
		{"[::ffff:198.51.100.7]:50000", "10.0.1.9:35201", "198.51.100.7:50000"},
		{"[2001:db8::7]:50000", "[2001:db8:1::9]:35201", "[2001:db8::7]:50000"},
		{"[2001:db8::7]:1", "10.0.1.9:65535", "[2001:db8::7]:1"},
		{"198.51.100.7:2", "[2001:db8:1::9]:3", "198.51.100.7:2"},
	} {
		b := proxyHeader(netip.MustParseAddrPort(c.client), netip.MustParseAddrPort(c.node))
		h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
		must.OK(t, err)
		from, to := addrPort(h.SourceAddr).String(), addrPort(h.DestinationAddr).String()
		if len(b) != 100 || from != c.wantClient || to != c.node {
			t.Errorf("%d bytes, %s to %s, want %s to %s", len(b), from, to, c.wantClient, c.node)
		}
	}
}
