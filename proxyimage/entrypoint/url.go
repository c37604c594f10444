package main

import "bytes"

// appendPublic appends a URL of the access log without user information, query and fragment. Squid strips them from what it understands to be a URL; what it does not understand it logs as it came: other schemes, a host that is
// none, a CONNECT to something else than host and port. The text is URL-escaped: # and \ stand in it as %23 and %5C.
func appendPublic(out, url []byte) []byte {
	end := len(url)
	if i := bytes.IndexByte(url, '?'); i >= 0 {
		end = i + 1 // Squid leaves the mark of a query, too
	}
	if i := bytes.Index(url[:end], fragment); i >= 0 {
		end = i
	}
	url = url[:end]
	host := 0
	if i := bytes.IndexByte(url, ':'); i >= 0 {
		host = i + 1 + slashes(url[i+1:])
		if host == i+1 {
			host = 0 // no scheme: host and port, or something like it
		}
	}
	authority := len(url)
	for _, delimiter := range [][]byte{slash, backslash, query} {
		if i := bytes.Index(url[host:authority], delimiter); i >= 0 {
			authority = host + i
		}
	}
	if i := bytes.LastIndexByte(url[host:authority], '@'); i >= 0 {
		out = append(out, url[:host]...)
		url = url[host+i+1:]
	}
	return append(out, url...)
}

var (
	fragment  = []byte("%23")
	slash     = []byte("/")
	backslash = []byte("%5C")
	query     = []byte("?")
)

// slashes counts the bytes that separate a scheme from a host, however many there are and whichever way they lean.
func slashes(text []byte) (n int) {
	for {
		switch {
		case bytes.HasPrefix(text[n:], slash):
			n++
		case bytes.HasPrefix(text[n:], backslash):
			n += len(backslash)
		default:
			return n
		}
	}
}
