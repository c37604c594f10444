package nlb

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// The parts of a PROXY v2 header that AWS sends (proxy-protocol.txt, section
// 2.2; AWS's own TLV: Guide, "VPC endpoint services").
const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"

	commandLocal byte = 0x20 // version 2, the sender's own connection
	commandProxy byte = 0x21 // version 2, on behalf of a client
	familyTCP4   byte = 0x11
	familyTCP6   byte = 0x21

	tlvCRC32C     byte = 0x03
	tlvNoop       byte = 0x04
	tlvAWS        byte = 0xEA
	subtypeVPCEID byte = 0x01

	// bodyLength is what follows the length field in every captured header,
	// whatever it holds: a NOOP fills the rest.
	bodyLength   = 84
	prefixLength = len(signature) + 4
	headerLength = prefixLength + bodyLength
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// proxyHeader returns the header for a client's connection. Addresses of two
// families are both written as IPv6, the IPv4 one mapped. vpce is empty or has
// passed Config's check, which keeps the header's length fixed.
func proxyHeader(client, node netip.AddrPort, vpce string) []byte {
	from, to := client.Addr().Unmap(), node.Addr().Unmap()
	family := familyTCP6
	if from.Is4() && to.Is4() {
		family = familyTCP4
	}
	b := prefix(commandProxy, family)
	for _, a := range []netip.Addr{from, to} {
		if family == familyTCP4 {
			b = append(b, a.AsSlice()...)
		} else {
			wide := a.As16()
			b = append(b, wide[:]...)
		}
	}
	b = binary.BigEndian.AppendUint16(b, client.Port())
	b = binary.BigEndian.AppendUint16(b, node.Port())
	return finish(b, vpce)
}

// localHeader returns the header of a health check. AWS claims TCP over IPv4 but
// sends no addresses, which only a receiver that skips a LOCAL header by its
// length survives; that is why it is reproduced.
func localHeader() []byte {
	return finish(prefix(commandLocal, familyTCP4), "")
}

func prefix(command, family byte) []byte {
	b := make([]byte, 0, headerLength)
	b = append(b, signature...)
	b = append(b, command, family)
	return binary.BigEndian.AppendUint16(b, bodyLength)
}

// finish appends AWS's TLVs in AWS's order, fills the header and seals it.
func finish(b []byte, vpce string) []byte {
	checksum := len(b) + 3
	b = append(b, tlvCRC32C, 0, 4, 0, 0, 0, 0)
	if vpce != "" {
		b = append(b, tlvAWS)
		b = binary.BigEndian.AppendUint16(b, uint16(1+len(vpce)))
		b = append(b, subtypeVPCEID)
		b = append(b, vpce...)
	}
	padding := headerLength - len(b) - 3
	b = append(b, tlvNoop)
	b = binary.BigEndian.AppendUint16(b, uint16(padding))
	b = append(b, make([]byte, padding)...)
	seal(b, checksum)
	return b
}

// seal writes the CRC-32C of the whole header, computed with the field at zero
// (proxy-protocol.txt, section 2.2.3), at offset at.
func seal(b []byte, at int) {
	field := b[at : at+4]
	clear(field)
	binary.BigEndian.PutUint32(field, crc32.Checksum(b, castagnoli))
}
