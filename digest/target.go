package digest

import (
	"bytes"
	"net/netip"
)

// targetMatches tells whether uri, from a header, names the requested target.
// The target is what Squid makes of the request line: host:port for CONNECT, an
// absolute URL with a lower-case host and no default port for all else. Path and
// query are the client's, byte for byte: Squid encodes nothing in them.
//
// Clients fill uri in three ways, and each is held to what it says:
//
//	/path?query             curl, Chromium, Firefox, requests: any host
//	http://host/path?query  urllib, Apache HttpClient, whoever follows the RFC to the letter
//	host:port               CONNECT, all of them
func targetMatches(method, target, uri []byte) bool {
	if string(method) == "CONNECT" {
		return sameAuthority(target, uri)
	}
	scheme, authority, path, ok := splitURL(target)
	if !ok || len(uri) == 0 {
		return false
	}
	if uri[0] == '/' {
		return bytes.Equal(path, uri)
	}
	uriScheme, uriAuthority, uriPath, ok := splitURL(uri)
	if !ok || !bytes.EqualFold(scheme, uriScheme) {
		return false
	}
	if i := bytes.LastIndexByte(uriAuthority, '@'); i >= 0 {
		uriAuthority = uriAuthority[i+1:] // Squid drops user information
	}
	if !sameAuthority(withoutDefaultPort(scheme, authority), withoutDefaultPort(scheme, uriAuthority)) {
		return false
	}
	if len(uriPath) == 0 || uriPath[0] != '/' { // http://host, http://host?query
		if len(path) == 0 || path[0] != '/' {
			return false
		}
		path = path[1:]
	}
	return bytes.Equal(path, uriPath)
}

// splitURL cuts scheme://authority from the rest, which begins with "/", "?" or is empty.
func splitURL(u []byte) (scheme, authority, path []byte, ok bool) {
	i := bytes.Index(u, []byte("://"))
	if i <= 0 {
		return nil, nil, nil, false
	}
	scheme, u = u[:i], u[i+3:]
	end := bytes.IndexAny(u, "/?#")
	if end < 0 {
		end = len(u)
	}
	return scheme, u[:end], u[end:], true
}

func withoutDefaultPort(scheme, authority []byte) []byte {
	var port string
	switch {
	case bytes.EqualFold(scheme, []byte("http")):
		port = ":80"
	case bytes.EqualFold(scheme, []byte("https")):
		port = ":443"
	case bytes.EqualFold(scheme, []byte("ftp")):
		port = ":21"
	}
	return bytes.TrimSuffix(authority, []byte(port))
}

// sameAuthority compares host and port. Squid drops the dots at the end of a
// name, writes an IPv6 address in its shortest form and an IPv4-mapped one as
// IPv4; the client's uri has them as they were typed.
func sameAuthority(target, uri []byte) bool {
	if bytes.EqualFold(target, uri) {
		return true
	}
	host, port := splitPort(target)
	uriHost, uriPort := splitPort(uri)
	if !bytes.Equal(port, uriPort) {
		return false
	}
	if bytes.EqualFold(bytes.TrimRight(host, "."), bytes.TrimRight(uriHost, ".")) {
		return len(host) > 0
	}
	a, b := parseIP(host), parseIP(uriHost)
	return a.IsValid() && a == b
}

// splitPort cuts the port, with its colon, from a host, which may be an IPv6 address in brackets.
func splitPort(authority []byte) (host, port []byte) {
	i := bytes.LastIndexByte(authority, ':')
	if i < 0 || bytes.IndexByte(authority[i:], ']') >= 0 {
		return authority, nil
	}
	return authority[:i], authority[i:]
}

// parseIP returns the zero address for what is neither an IPv4 address nor an
// IPv6 address in brackets; an IPv4-mapped address is the IPv4 address in it.
func parseIP(host []byte) netip.Addr {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	a, _ := netip.ParseAddr(string(host))
	return a.Unmap()
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
