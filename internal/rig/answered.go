package rig

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

const (
	cannotBeUsed = "HTTP/1.1 502 Bad Gateway\r\nDate: D\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 41\r\nConnection: close\r\n\r\n" +
		"The destination's answer cannot be used.\n"
	tooLong = "HTTP/1.1 502 Bad Gateway\r\nDate: D\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 88\r\nConnection: close\r\n\r\n" +
		"The request is too long (status 4xx), or the destination's answer cannot be used (502).\n"
)

// answered is what a client sees of what a destination sends. Both end with their connections.
var answered = []struct{ name, sent, seen string }{
	{"a plain one", "HTTP/1.1 200 OK\r\nServer: s\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nbody",
		"HTTP/1.1 200 OK\r\nServer: s\r\nX-Mine: 1\r\nContent-Length: 4\r\nDate: D\r\nConnection: close\r\n\r\nbody"},
	{"its own Date and reason", "HTTP/1.1 200 Fine\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	{"no HTTP", "hello",
		"HTTP/1.1 200 OK\r\nExpires: -1\r\nDate: D\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nExpires: -1\r\nDate: D\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n13\r\nHTTP/2.0 200 OK\r\n\r\n\r\n0\r\n\r\n"},
	{"HTTP/1.0 without a length", "HTTP/1.0 200 OK\r\n\r\nbody",
		"HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nbody\r\n0\r\n\r\n"},
	{"chunks and a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nbody\r\n0\r\n\r\n"},
	{"headers of a cache", "HTTP/1.1 200 OK\r\nAge: 10\r\nWarning: 110 x \"stale\"\r\nVary: *\r\nExpires: 0\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nAge: 10\r\nWarning: 110 x \"stale\"\r\nVary: *\r\nExpires: 0\r\nCache-Control: no-store\r\nContent-Length: 0\r\nDate: D\r\nConnection: close\r\n\r\n"},
	{"headers of the connection", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nAlternate-Protocol: x\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: D\r\nConnection: close\r\n\r\n"},
	{"as if it were the proxy's", "HTTP/1.1 200 OK\r\nX-Squid-Error: x\r\nServer: s\r\nMime-Version: 1.0\r\nX-Transformed-From: x\r\nVia: x\r\nX-Cache: x\r\nX-Cache-Lookup: x\r\nCache-Status: x\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 0\r\nDate: D\r\nConnection: close\r\n\r\n"},
	{"names that Squid knows", "HTTP/1.1 200 OK\r\nSurrogate-Control: x\r\nX-Accelerator-Vary: x\r\nX-Request-URI: x\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Accelerator-Vary: x\r\nX-Request-URI: x\r\nContent-Length: 0\r\nDate: D\r\nConnection: close\r\n\r\n"},
	{"a challenge of a proxy", "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\nServer: s\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 407 Proxy Authentication Required\r\nServer: s\r\nContent-Length: 0\r\nDate: D\r\nConnection: close\r\n\r\n"},
	{"a challenge of a proxy before the answer", "HTTP/1.1 103 x\r\nLink: x\r\nProxy-Authenticate: Basic\r\nServer: s\r\nVia: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\nServer: s\r\nConnection: keep-alive\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: D\r\nConnection: close\r\n\r\n"},
	{"an offer that needs a connection of its own", "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\nDate: D\r\nConnection: close\r\n\r\n"},
	{"304", "HTTP/1.1 304 x\r\nServer: s\r\nETag: \"x\"\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nServer: s\r\nETag: \"x\"\r\nContent-Length: 4\r\nDate: D\r\nConnection: close\r\n\r\n"},
	{"less than announced", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nDate: D\r\nConnection: close\r\n\r\nbo"},
	{"more than announced", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody and more", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nDate: D\r\nConnection: close\r\n\r\nbody"},
	{"another protocol", "HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", cannotBeUsed},
	{"two lengths", "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody", cannotBeUsed},
	{"another coding", "HTTP/1.1 200 OK\r\nServer: s\r\nTransfer-Encoding: gzip\r\n\r\nbody", cannotBeUsed},
	{"a NUL", "HTTP/1.1 200 OK\r\nServer: s\r\nX: a\x00b\r\n\r\n", cannotBeUsed},
	{"600", "HTTP/1.1 600 x\r\nServer: s\r\n\r\n", cannotBeUsed},
	{"nothing", "", cannotBeUsed},
	{"70 KB of headers", "HTTP/1.1 200 OK\r\nServer: s\r\nX-Long: " + strings.Repeat("x", 70_000) + "\r\n\r\n", tooLong},
}

var anyDate = regexp.MustCompile(`\r\nDate: [^\r]*`)

// AnswerProblems says what a client sees of the target's answers that it should not, or does not see.
func AnswerProblems(t testing.TB, c Client, target string) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var answer string
	defer Raw(t, portOf(target), func(conn net.Conn) {
		ReadHead(bufio.NewReader(conn))
		io.WriteString(conn, answer)
	})()
	credentials, err := c.Credentials("GET", target)
	if err != nil {
		return append(problems, err.Error())
	}
	request := "GET " + target + " HTTP/1.1\r\nHost: " + hostOf("GET", target) + "\r\n" + credentials + "\r\n"
	send := func(request string) (net.Conn, error) {
		conn, err := c.Dial()
		if err == nil {
			_, err = io.WriteString(conn, request+"\r\n")
		}
		return conn, err
	}
	for _, a := range answered {
		answer = a.sent
		conn, err := send(request + "Connection: close\r\n")
		if err != nil {
			return append(problems, err.Error())
		}
		got, err := io.ReadAll(conn)
		conn.Close()
		seen := anyDate.ReplaceAllString(string(got), "\r\nDate: D")
		if lines := strings.Split(seen, "\r\n"); err != nil || seen != a.seen {
			wrong("%s: the client got %q, %v, want %q", a.name, lines, err, strings.Split(a.seen, "\r\n"))
		}
	}
	// What stands behind an answer without a body, on a connection that the client would use again.
	for _, status := range []string{"204", "304"} {
		answer = "HTTP/1.1 " + status + " x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
		conn, err := send(request)
		if err != nil {
			return append(problems, err.Error())
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
		if err != nil || !response.Close {
			wrong("%s does not end the client's connection: %+v, %v", status, response, err)
		}
	}
	return problems
}
