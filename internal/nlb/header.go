package nlb

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"slices"

	"github.com/pires/go-proxyproto"
)

// Every captured header is 100 bytes long, whatever it holds: a NOOP fills it.
const headerLength = 100

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// proxyHeader returns a connection's header. If only one address is IPv4, it is mapped.
func proxyHeader(client, node netip.AddrPort) []byte {
	from, to, family := client.Addr().Unmap(), node.Addr().Unmap(), proxyproto.TCPv4
	if from.Is6() || to.Is6() {
		from, to, family = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16()), proxyproto.TCPv6
	}
	addresses := slices.Concat(from.AsSlice(), to.AsSlice())
	addresses = binary.BigEndian.AppendUint16(addresses, client.Port())
	addresses = binary.BigEndian.AppendUint16(addresses, node.Port())
	return header(byte(proxyproto.PROXY), byte(family), addresses)
}

// localHeader returns the header of a health check. AWS claims TCP over IPv4 and sends no
// addresses: only a receiver that skips a LOCAL header by its length survives that.
func localHeader() []byte { return header(byte(proxyproto.LOCAL), byte(proxyproto.TCPv4), nil) }

// header has AWS's TLVs behind the addresses, in AWS's order.
func header(command, family byte, addresses []byte) []byte {
	const prefix = 16
	b := make([]byte, headerLength)
	copy(b, slices.Concat(proxyproto.SIGV2, []byte{command, family, 0, headerLength - prefix}, addresses))
	checksum := b[prefix+len(addresses):]
	copy(checksum, []byte{byte(proxyproto.PP2_TYPE_CRC32C), 0, 4})
	noop := checksum[3+4:]
	copy(noop, []byte{byte(proxyproto.PP2_TYPE_NOOP), 0, byte(len(noop) - 3)})
	// Of the whole header, with the field at zero (proxy-protocol.txt, section 2.2.3).
	binary.BigEndian.PutUint32(checksum[3:], crc32.Checksum(b, castagnoli))
	return b
}
