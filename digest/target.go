package digest

import (
	"bytes"
	"net/netip"
)

// target is what a request asks for, as Squid writes it: host:port for CONNECT, otherwise an
// absolute URL with a lower-case host and without a default port. Squid leaves path and query
// as the client sent them, byte for byte.
type target struct {
	connect                 []byte // host:port
	scheme, authority, path []byte // of a URL; the path includes the query
}

func (t *target) set(method, text []byte) {
	*t = target{}
	if string(method) == "CONNECT" {
		t.connect = text
	} else {
		t.scheme, t.authority, t.path, _ = splitURL(text)
		t.authority = withoutDefaultPort(t.scheme, t.authority)
	}
}

// namedBy tells whether uri, from a header, names the target. Clients write three forms:
//
//	/path?query             curl, Chromium, Firefox, requests: any host
//	http://host/path?query  Java, urllib, Apache HttpClient: the host counts
//	host:port               CONNECT, all of them but .NET, which writes /
//
// CONNECT with / is refused: such a header would open a tunnel to any host.
func (t *target) namedBy(uri []byte) bool {
	if t.connect != nil {
		return sameAuthority(t.connect, uri)
	}
	path, want := t.paths(uri)
	return want != nil && bytes.Equal(path, want)
}

// literal returns the length of the uri at the start of b, if it names the target as it stands
// and a quote follows. Java, curl and urllib write backslashes and quotes of a URL without
// escapes. They mean what they write, and the target tells where it ends.
func (t *target) literal(b []byte) int {
	path, want := t.paths(b)
	if want == nil || !bytes.HasPrefix(path, want) {
		return 0
	}
	n := len(b) - len(path) + len(want)
	if n == len(b) || b[n] != '"' {
		return 0
	}
	return n
}

// paths returns what follows scheme and host in uri, and what has to be there. The latter is nil
// if uri begins with another scheme or host, or the request is a CONNECT.
func (t *target) paths(uri []byte) (path, want []byte) {
	if len(t.scheme) == 0 || len(uri) == 0 {
		return nil, nil
	}
	if uri[0] == '/' {
		return uri, t.path
	}
	scheme, authority, path, ok := splitURL(uri)
	if !ok || !bytes.EqualFold(t.scheme, scheme) {
		return nil, nil
	}
	if i := bytes.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:] // Squid drops user information.
	}
	if !sameAuthority(t.authority, withoutDefaultPort(t.scheme, authority)) {
		return nil, nil
	}
	want = t.path
	if len(path) == 0 || path[0] != '/' { // http://host, http://host?query
		if len(want) == 0 || want[0] != '/' {
			return nil, nil
		}
		want = want[1:]
	}
	return path, want
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
	for _, known := range [...]struct{ scheme, port string }{{"http", ":80"}, {"https", ":443"}, {"ftp", ":21"}} {
		if bytes.EqualFold(scheme, []byte(known.scheme)) {
			return bytes.TrimSuffix(authority, []byte(known.port))
		}
	}
	return authority
}

// sameAuthority compares host and port. Squid drops the dots at the end of a name, writes an IPv6
// address in its shortest form and an IPv4-mapped one as IPv4; the client's uri has them as typed.
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

// parseIP returns the zero address for what is neither an IPv4 address nor an IPv6 address in
// brackets; an IPv4-mapped address is the IPv4 address in it.
func parseIP(host []byte) netip.Addr {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	a, _ := netip.ParseAddr(string(host))
	return a.Unmap()
}
