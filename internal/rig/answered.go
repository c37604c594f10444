package rig

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

const (
	badGateway = "HTTP/1.1 502 Bad Gateway\nDate: D\nContent-Type: text/html;charset=utf-8\nContent-Length: "
	status     = "Connection: close\nProxy-Status: squidfleet; error="

	cannotBeUsed = badGateway + "41\n" + status + "http_protocol_error\n\n" +
		"The destination's answer cannot be used.\n"
	tooLong = badGateway + "88\n" + status + "http_response_header_section_size\n\n" +
		"The request is too long (status 4xx), or the destination's answer cannot be used (502).\n"
)

// answered is what a client sees of what a destination sends until it closes. \n is CRLF. More of
// it is in the package differences.
var answered = []struct{ name, sent, seen string }{
	{"a plain one", "HTTP/1.1 200 OK\nServer: s\nX-Mine: 1\nContent-Length: 4\n\nbody",
		"HTTP/1.1 200 OK\nServer: s\nX-Mine: 1\nContent-Length: 4\nDate: D\nConnection: close\n\nbody"},
	{"ICY", "ICY 200 OK\nServer: s\n\nbody", "ICY 200 OK\nServer: s\nDate: D\nConnection: close\n\nbody"},
	{"HTTP/1.0 without a length", "HTTP/1.0 200 OK\n\nbody",
		"HTTP/1.1 200 OK\nDate: D\nTransfer-Encoding: chunked\nConnection: close\n\n4\nbody\n0\n\n"},
	{"headers of a cache", "HTTP/1.1 200 OK\nAge: 10\nWarning: 110 x \"stale\"\nVary: *\nExpires: 0\n" +
		"Cache-Control: no-store\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\nAge: 10\nWarning: 110 x \"stale\"\n" +
		"Vary: *\nExpires: 0\nCache-Control: no-store\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"headers of the connection", "HTTP/1.1 200 OK\nKeep-Alive: timeout=5\nConnection: keep-alive, X-Mine\n" +
		"X-Mine: 1\nProxy-Connection: x\nUpgrade: h2c\nAlternate-Protocol: x\nContent-Length: 0\n\n",
		"HTTP/1.1 200 OK\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"as if it were the proxy's", "HTTP/1.1 200 OK\nX-Squid-Error: x\nServer: s\nMime-Version: 1.0\n" +
		"X-Transformed-From: x\nVia: x\nX-Cache: x\nX-Cache-Lookup: x\nCache-Status: x\n" +
		"Proxy-Status: squidfleet; error=dns_error\nContent-Length: 0\n\n",
		"HTTP/1.1 200 OK\nServer: s\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"names that Squid knows",
		"HTTP/1.1 200 OK\nSurrogate-Control: x\nX-Accelerator-Vary: x\nX-Request-URI: x\nContent-Length: 0\n\n",
		"HTTP/1.1 200 OK\nX-Accelerator-Vary: x\nX-Request-URI: x\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"a challenge of a proxy",
		"HTTP/1.1 407 x\nProxy-Authenticate: Basic\nProxy-Authentication-Info: x\nServer: s\nContent-Length: 0\n\n",
		"HTTP/1.1 407 Proxy Authentication Required\nServer: s\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"a challenge of a proxy before the answer", "HTTP/1.1 103 x\nLink: x\nProxy-Authenticate: Basic\nServer: s\n" +
		"Via: x\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 103 Early Hints\nLink: x\nServer: s\n" +
		"Connection: keep-alive\n\nHTTP/1.1 200 OK\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"an offer that needs a connection of its own", "HTTP/1.1 401 x\nWWW-Authenticate: NTLM\n" +
		"WWW-Authenticate: Negotiate\nWWW-Authenticate: Kerberos x\nWWW-Authenticate: Basic realm=x\n" +
		"Content-Length: 0\n\n", "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm=x\nContent-Length: 0\n" +
		"Date: D\nConnection: close\n\n"},
	{"304", "HTTP/1.1 304 x\nServer: s\nETag: \"x\"\nContent-Length: 4\n\n",
		"HTTP/1.1 304 Not Modified\nServer: s\nETag: \"x\"\nContent-Length: 4\nDate: D\nConnection: close\n\n"},
	{"more than announced", "HTTP/1.1 200 OK\nContent-Length: 4\n\nbody and more",
		"HTTP/1.1 200 OK\nContent-Length: 4\nDate: D\nConnection: close\n\nbody"},
	{"a NUL", "HTTP/1.1 200 OK\nServer: s\nX: a\x00b\n\n", cannotBeUsed},
	{"70 KB of headers", "HTTP/1.1 200 OK\nServer: s\nX-Long: " + strings.Repeat("x", 70_000) + "\n\n", tooLong},
}

var anyDate = regexp.MustCompile(`\nDate: .*\n`)

// CheckAnswers says what a client wrongly sees, or does not see, of the target's answers.
func CheckAnswers(t testing.TB, wrong Wrong, c Client, target string) {
	var answer string
	defer Raw(t, portOf(target), func(conn net.Conn) {
		http.ReadRequest(bufio.NewReader(conn))
		io.WriteString(conn, answer)
	})()
	for _, a := range answered {
		answer = strings.ReplaceAll(a.sent, "\n", "\r\n")
		conn, err := c.Send("GET", target, "Connection: close")
		if err != nil {
			wrong("%v", err)
			return
		}
		got, err := io.ReadAll(conn)
		conn.Close()
		seen := anyDate.ReplaceAllString(strings.ReplaceAll(string(got), "\r\n", "\n"), "\nDate: D\n")
		if lines := strings.Split(seen, "\n"); err != nil || seen != a.seen {
			wrong("%s: the client got %q, %v, want %q", a.name, lines, err, strings.Split(a.seen, "\n"))
		}
	}
	// What stands behind an answer without a body, on a connection that the client would use again.
	for _, status := range []string{"204", "304"} {
		answer = "HTTP/1.1 " + status + " x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
		response, err := c.Exchange("GET", target, "")
		if err != nil || !response.Close {
			wrong("%s does not end the client's connection: %+v, %v", status, response, err)
		}
	}
}
