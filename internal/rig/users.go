package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// tokenHeader holds what a destination is to answer; plantedToken is that of planted.
const (
	tokenHeader  = "X-Token"
	plantedToken = "planted"
	planted      = "GET /planted HTTP/1.1\r\nHost: x\r\n" + tokenHeader + ": " + plantedToken + "\r\n\r\n"
)

// bodyMethods are the methods whose body may stay on a destination's connection.
var bodyMethods = []string{"POST", "PUT", "GET", "HEAD", "DELETE", "OPTIONS"}

func portOf(target string) int {
	u, err := url.Parse(target)
	if err != nil {
		panic(err) // a test's own mistake
	}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	return 80
}

// serveTokens has the target answer each request with its token. To it, a body is the next request.
func serveTokens(t testing.TB, target string) (stop func()) {
	return Raw(t, portOf(target), func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(reader) // which leaves a body where it is
			if err != nil {
				return
			}
			token := request.Header.Get(tokenHeader)
			if token == plantedToken {
				// Squid would close an idle connection on which an answer comes: this one comes
				// when the connection is in use again.
				if _, err := reader.Peek(1); err != nil {
					return
				}
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s: %s\r\nContent-Length: %d\r\n\r\n", tokenHeader, token, len(token))
			if request.Method != "HEAD" {
				io.WriteString(conn, token)
			}
		}
	})
}

// user is a client whose requests have tokens of their own.
type user struct {
	Client
	target string
	wrong  Wrong
	sent   int
}

// ask sends a request with the next token and a body. It is wrong if the answer has another token.
func (u *user) ask(method, body string) {
	u.sent++
	token := fmt.Sprintf("%s-%d", u.User, u.sent)
	headers := []string{tokenHeader + ": " + token}
	if body != "" {
		headers = append(headers, fmt.Sprint("Content-Length: ", len(body)))
	}
	response, err := u.Exchange(method, u.target, body, headers...)
	if err != nil {
		u.wrong("%s of %s: %v", method, token, err)
		return
	}
	if body != "" && response.StatusCode >= 400 {
		return // not every method may have one
	}
	got, text := response.Header.Get(tokenHeader), response.Text
	if method == "HEAD" {
		text = got
	}
	if response.StatusCode != 200 || got != token || text != token {
		u.wrong("%s of %s: status %d with %q and %q", method, token, response.StatusCode, got, text)
	}
}

// CheckSharing has two users ask a target, in turn and at a time: it is wrong if one gets an answer
// that is the other's. Alice leaves requests in bodies that the target does not read.
func CheckSharing(t testing.TB, wrong Wrong, alice, bob Client, target string) {
	defer serveTokens(t, target)()
	first, second := &user{alice, target, wrong, 0}, &user{bob, target, wrong, 0}
	for _, method := range bodyMethods {
		first.ask(method, planted)
		for range 3 {
			second.ask("GET", "")
		}
	}
	Each(8, func(i int) {
		u, body := &user{alice, target, wrong, 1000 * (i + 1)}, planted
		if i%2 == 1 {
			u.Client, body = bob, ""
		}
		for n := range 20 {
			u.ask(bodyMethods[(n+i)%len(bodyMethods)], body)
		}
	})
}

// Beside has a client send requests until the test ends: each has to get an answer of its own.
func Beside(t testing.TB, c Client, target string) {
	t.Helper()
	serveTokens(t, target)
	u := &user{c, target, t.Errorf, 0}
	var stop atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		for (!stop.Load() || u.sent < 5) && !t.Failed() {
			u.ask("GET", "")
		}
	})
	t.Cleanup(func() {
		stop.Store(true)
		done.Wait()
	})
}

// requestFramings are requests of which the client's side and the destination's could see different
// ends. Each holds a second one, uncovered, which has no credentials. %d is the body's length.
var requestFramings = []struct{ name, head, body string }{
	{"a length and chunks", "Content-Length: %d\r\nTransfer-Encoding: chunked", "0\r\n\r\n" + uncovered},
	{"chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: %d", "0\r\n\r\n" + uncovered},
	{"a short length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked", "5c\r\n" + uncovered},
	{"two lengths", "Content-Length: 0\r\nContent-Length: %d", uncovered},
	{"two lengths, the last of nothing", "Content-Length: %d\r\nContent-Length: 0", uncovered},
	{"a list of lengths", "Content-Length: 0, %d", uncovered},
	{"a length with a sign", "Content-Length: +%d", uncovered},
	{"a space before the colon", "Content-Length : %d", uncovered},
	{"chunks in another spelling", "Transfer-Encoding: Chunked\r\nContent-Length: %d", "0\r\n\r\n" + uncovered},
	{"chunks behind another coding", "Transfer-Encoding: x, chunked\r\nContent-Length: %d", "0\r\n\r\n" + uncovered},
	{"chunks with a vertical tab", "Transfer-Encoding: \x0bchunked\r\nContent-Length: %d", "0\r\n\r\n" + uncovered},
	{"chunks on a folded line", "Transfer-Encoding:\r\n chunked\r\nContent-Length: %d", "0\r\n\r\n" + uncovered},
	{"chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n" + uncovered},
	{"a chunk size with a sign", "Transfer-Encoding: chunked", "+0\r\n\r\n" + uncovered},
	{"a chunk size of too many digits", "Transfer-Encoding: chunked", "10000000000000000\r\n" + uncovered},
	{"lines that end with LF", "Transfer-Encoding: chunked\nContent-Length: %d", "0\n\n" + uncovered},
	{"no body announced", "X-None: 1", uncovered},
	{"a length of nothing", "Content-Length: 0", uncovered},
}

const uncovered = "GET http://origin.example/uncovered HTTP/1.1\r\nHost: origin.example\r\n\r\n"

// CheckFraming sends all framings at a time: it is wrong if the target gets one with two ends, on a
// shared connection, or without credentials.
func CheckFraming(t testing.TB, wrong Wrong, c Client, target string) {
	var requests atomic.Int64
	stop := Raw(t, portOf(target), func(conn net.Conn) {
		var raw bytes.Buffer
		reader := bufio.NewReader(io.TeeReader(conn, &raw))
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		requests.Add(1)
		io.Copy(io.Discard, request.Body)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		rest, _ := io.ReadAll(reader)
		head, _, _ := strings.Cut(strings.ToLower(raw.String()), "\r\n\r\n")
		ends := strings.Count(head, "\r\ncontent-length") + strings.Count(head, "\r\ntransfer-encoding")
		if len(rest) > 0 || ends > 1 || request.URL.Path != "/framed" {
			wrong("the destination got %q", raw.String())
		}
	})
	target += "framed"
	var clients sync.WaitGroup
	for _, method := range bodyMethods {
		credentials, err := c.Credentials(method, target)
		must.OK(t, err)
		for _, f := range requestFramings {
			framing := strings.ReplaceAll(f.head, "%d", strconv.Itoa(len(f.body)))
			clients.Go(func() {
				conn, err := c.Write(head(method, target, credentials, framing) + "\r\n" + f.body)
				if err != nil {
					wrong("%s, %s: %v", method, f.name, err)
					return
				}
				defer conn.Close()
				conn.SetReadDeadline(time.Now().Add(time.Second))
				text, _ := io.ReadAll(conn)
				if n := strings.Count(string(text), "HTTP/1.1 200"); n > 1 {
					wrong("%s, %s: %d answers: %q", method, f.name, n, text)
				}
			})
		}
	}
	clients.Wait()
	stop()
	if n := requests.Load(); n < int64(len(bodyMethods)) {
		wrong("only %d requests came to the destination", n)
	}
}
