package nlb

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// Every captured header is 100 bytes long, whatever it holds: a NOOP fills it.
const headerLength = 100

// The lengths of a header's parts.
const (
	prefixLength   = 16
	checksumLength = 3 + 4
	noopLength     = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// proxyHeader returns a connection's header. If only one address is IPv4, it is mapped.
func proxyHeader(client, node netip.AddrPort) []byte {
	h := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(client), net.TCPAddrFromAddrPort(node))
	addresses := 36
	if h.TransportProtocol == proxyproto.TCPv4 {
		addresses = 12
	}
	return finish(h, addresses)
}

// localHeader returns the header of a health check. AWS claims TCP over IPv4 and sends no
// addresses: only a receiver that skips a LOCAL header by its length survives that.
func localHeader() []byte {
	h := &proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	b := finish(h, 0)
	b[13] = byte(proxyproto.TCPv4)
	seal(b, prefixLength)
	return b
}

// finish adds AWS's TLVs in AWS's order and seals. addresses is the address block's length.
func finish(h *proxyproto.Header, addresses int) []byte {
	filler := headerLength - prefixLength - addresses - checksumLength - noopLength
	err := h.SetTLVs([]proxyproto.TLV{
		{Type: proxyproto.PP2_TYPE_CRC32C, Value: make([]byte, 4)},
		{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, filler)},
	})
	if err != nil {
		panic(err) // The lengths fit.
	}
	b, err := h.Format()
	if err != nil {
		panic(err) // The addresses are TCP's.
	}
	seal(b, prefixLength+addresses)
	return b
}

// seal writes the CRC-32C of the whole header, computed with the field at zero (proxy-protocol.txt,
// section 2.2.3). at is the offset of the checksum's TLV.
func seal(b []byte, at int) {
	field := b[at+3 : at+checksumLength]
	clear(field)
	binary.BigEndian.PutUint32(field, crc32.Checksum(b, castagnoli))
}
