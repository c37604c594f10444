package digest

import (
	"bytes"
	"net/netip"
)

// Format is what Squid has to send: the FORMAT of its external_acl_type
// directive. The header comes last because it has spaces in it. %[ is the only
// quoting from which every byte can be had back; %DATA comes first, always as
// "-", because Squid would append it to the header otherwise.
const Format = `%DATA %>a %>rm %[>ru %[{Proxy-Authorization}>h`

// parseLine reads a line of the helper's input without its end: a channel id
// and the fields of Format. The request points into the line, which is
// overwritten where something was quoted.
func parseLine(line []byte, r *Request) bool {
	data, line, ok := bytes.Cut(line, space)
	if !ok || string(data) != "-" {
		return false
	}
	client, line, ok := bytes.Cut(line, space)
	if !ok {
		return false
	}
	if r.Client, ok = parseAddr(client); !ok {
		return false
	}
	r.Method, line, ok = bytes.Cut(line, space)
	if !ok || len(r.Method) == 0 {
		return false
	}
	for _, c := range r.Method {
		if !isToken(c) {
			return false
		}
	}
	target, value, ok := bytes.Cut(line, space)
	value = bytes.TrimSuffix(value, space) // Squid writes one after every field
	if !ok || len(target) == 0 || len(value) == 0 {
		return false
	}
	if r.Target, ok = unquote(target); !ok {
		return false
	}
	if string(value) == "-" { // what Squid writes for no header
		r.Header = nil
		return true
	}
	r.Header, ok = unquote(value)
	return ok
}

var space = []byte{' '}

// cutChannel cuts the channel id, which Squid wants back as it was.
func cutChannel(line []byte) (id, rest []byte, ok bool) {
	i := 0
	for i < len(line) && '0' <= line[i] && line[i] <= '9' {
		i++
	}
	if i == 0 || i > 20 || i == len(line) || line[i] != ' ' {
		return nil, nil, false
	}
	return line[:i], line[i+1:], true
}

// unquote undoes Squid's %[ in place: %XX, and backslash before r, n and itself.
func unquote(b []byte) ([]byte, bool) {
	first := bytes.IndexAny(b, `%\`)
	if first < 0 {
		return b, true
	}
	n := first
	for i := first; i < len(b); i++ {
		c := b[i]
		switch c {
		case '%':
			if i+2 >= len(b) || unhex(b[i+1]) < 0 || unhex(b[i+2]) < 0 {
				return nil, false
			}
			c = byte(unhex(b[i+1])<<4 | unhex(b[i+2]))
			i += 2
		case '\\':
			if i++; i == len(b) {
				return nil, false
			}
			switch b[i] {
			case 'r':
				c = '\r'
			case 'n':
				c = '\n'
			case '\\':
			default:
				return nil, false
			}
		}
		b[n] = c
		n++
	}
	return b[:n], true
}

// parseAddr is netip.ParseAddr without an allocation for IPv4.
func parseAddr(b []byte) (netip.Addr, bool) {
	if addr, ok := parseIPv4(b); ok {
		return addr, true
	}
	addr, err := netip.ParseAddr(string(b))
	return addr, err == nil
}

func parseIPv4(b []byte) (netip.Addr, bool) {
	var quad [4]byte
	for i := range quad {
		value, digits := 0, 0
		for len(b) > 0 && '0' <= b[0] && b[0] <= '9' && digits < 3 {
			value = value*10 + int(b[0]-'0')
			b, digits = b[1:], digits+1
		}
		if digits == 0 || value > 255 {
			return netip.Addr{}, false
		}
		quad[i] = byte(value)
		if i < 3 {
			if len(b) == 0 || b[0] != '.' {
				return netip.Addr{}, false
			}
			b = b[1:]
		}
	}
	return netip.AddrFrom4(quad), len(b) == 0
}
