package digest

import (
	"bytes"
	"encoding/hex"
	"net/netip"
)

// Format is what Squid has to send: the FORMAT of its external_acl_type directive. The header comes
// last and as it is, because it has spaces in it: Squid refuses headers with NUL, and puts a space
// in place of a line's end within one. The URL is quoted by %[, the only quoting from which every
// byte can be had back. %DATA comes first, always as "-", because Squid would append it to the
// header otherwise. With a width of 0 Squid copies a field; without, it has printf write it.
const Format = `%00DATA %00>a %00>rm %[00>ru %'00{Proxy-Authorization}>h`

// BasicFormat is the FORMAT for requests with Basic credentials, which are good for any URL. With
// a ttl above zero Squid remembers right ones by what this format says: address and header. Its
// negative_ttl has to be zero, so that each wrong password is checked and counted. The
// place of %DATA, again always "-", tells the formats apart.
const BasicFormat = `%00>a %00DATA %'00{Proxy-Authorization}>h`

// parseLine reads the fields of Format or BasicFormat. The request points into the line, which is
// overwritten where something was quoted.
func parseLine(line []byte, r *Request) bool {
	first, value, _ := bytes.Cut(line, space)
	second, value, _ := bytes.Cut(value, space)
	ofBasic := string(second) == "-"
	client := second
	if ofBasic {
		client = first
	} else if string(first) != "-" {
		return false
	}
	address, err := netip.ParseAddr(string(client))
	if err != nil {
		return false
	}
	*r = Request{Client: address}
	if !ofBasic {
		var target, behind []byte
		var ok bool
		r.Method, value, _ = bytes.Cut(value, space)
		target, value, _ = bytes.Cut(value, space)
		_, behind = cutToken(r.Method)
		r.Target, ok = unquote(target)
		if !ok || len(r.Method) == 0 || len(behind) > 0 || len(target) == 0 {
			return false
		}
	}
	value = bytes.TrimSuffix(value, space) // Squid writes one after every field
	if len(value) == 0 {
		return false
	}
	if string(value) != "-" { // what Squid writes for no header
		r.Header = value
	}
	return true
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
	n := bytes.IndexAny(b, `%\`)
	if n < 0 {
		return b, true
	}
	for i := n; i < len(b); i++ {
		c := b[i]
		switch c {
		case '%':
			var ok bool
			if c, ok = percent(b[i:]); !ok {
				return nil, false
			}
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

// percent reads the %XX at the start of b.
func percent(b []byte) (c byte, ok bool) {
	var raw [1]byte
	if len(b) < 3 {
		return 0, false
	}
	_, err := hex.Decode(raw[:], b[1:3])
	return raw[0], err == nil
}
