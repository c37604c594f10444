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
			lines, err := ReadHead(reader)
			if err != nil {
				return
			}
			if len(lines) == 0 {
				continue
			}
			token := HeaderIn(lines, tokenHeader)
			if token == plantedToken {
				// Squid would close an idle connection on which an answer comes: this one comes
				// when the connection is in use again.
				if _, err := reader.Peek(1); err != nil {
					return
				}
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s: %s\r\nContent-Length: %d\r\n\r\n", tokenHeader, token, len(token))
			if !strings.HasPrefix(lines[0], "HEAD ") {
				io.WriteString(conn, token)
			}
		}
	})
}

// user is a client whose requests have tokens of their own.
type user struct {
	Client
	target string
	sent   int
}

// ask sends a request with the next token and a body. The problem is an answer with another token.
func (u *user) ask(method, body string) (problem string) {
	u.sent++
	token := fmt.Sprintf("%s-%d", u.User, u.sent)
	headers := []string{tokenHeader + ": " + token}
	if body != "" {
		headers = append(headers, fmt.Sprint("Content-Length: ", len(body)))
	}
	conn, err := u.Send(method, u.target, headers...)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	io.WriteString(conn, body)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(response.Body)
	if body != "" && response.StatusCode >= 400 {
		return "" // not every method may have one
	}
	got := response.Header.Get(tokenHeader)
	if method == "HEAD" {
		text = []byte(got)
	}
	if err != nil || response.StatusCode != 200 || got != token || string(text) != token {
		return fmt.Sprintf("%s of %s: status %d with %q and %q, %v", method, token, response.StatusCode, got, text, err)
	}
	return ""
}

// SharingProblems says which of two users get answers that are not theirs, in turn and at a time.
// One leaves requests in bodies that the target does not read.
func SharingProblems(t testing.TB, alice, bob Client, target string) (problems []string) {
	defer serveTokens(t, target)()
	var mu sync.Mutex
	note := func(problem string) {
		if problem != "" {
			mu.Lock()
			problems = append(problems, problem)
			mu.Unlock()
		}
	}
	first, second := &user{Client: alice, target: target}, &user{Client: bob, target: target}
	for _, method := range bodyMethods {
		note(first.ask(method, planted))
		for range 3 {
			note(second.ask("GET", ""))
		}
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			u, body := &user{alice, target, 1000 * (i + 1)}, planted
			if i%2 == 1 {
				u.Client, body = bob, ""
			}
			for n := range 20 {
				note(u.ask(bodyMethods[(n+i)%len(bodyMethods)], body))
			}
		})
	}
	all.Wait()
	return problems
}

// Beside has a client send requests until the test ends: each has to get an answer of its own.
func Beside(t testing.TB, c Client, target string) {
	t.Helper()
	serveTokens(t, target)
	u := &user{Client: c, target: target}
	var stop atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		for !stop.Load() || u.sent < 5 {
			if problem := u.ask("GET", ""); problem != "" {
				t.Errorf("beside the test: %s", problem)
				return
			}
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

// FramingProblems says which requests the target gets with two ends, on a shared connection, or
// without credentials. The client sends all of them at a time.
func FramingProblems(t testing.TB, c Client, target string) (problems []string) {
	var mu sync.Mutex
	wrong := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		problems = append(problems, fmt.Sprintf(format, args...))
	}
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
		begin, err := c.head(method, target)
		must.OK(t, err)
		for _, f := range requestFramings {
			head := strings.ReplaceAll(f.head, "%d", strconv.Itoa(len(f.body)))
			clients.Go(func() {
				conn, err := c.Dial()
				if err != nil {
					wrong("%s, %s: %v", method, f.name, err)
					return
				}
				defer conn.Close()
				io.WriteString(conn, begin+head+"\r\n\r\n"+f.body)
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
	return problems
}
