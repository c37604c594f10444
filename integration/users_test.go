package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"squidfleet/internal/rig"
)

// tokenPort is where a destination answers each request with the token in its header. It does not
// read bodies, so that to it a body is the connection's next request.
const (
	tokenPort   = 82
	tokenHeader = "X-Token"
	tokenTarget = "http://origin.example:82/"
)

func startTokens(t testing.TB) (stop func()) {
	return rig.Raw(t, tokenPort, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			lines, err := rig.ReadHead(reader)
			if err != nil {
				return
			}
			if len(lines) == 0 {
				continue
			}
			token := rig.HeaderIn(lines, tokenHeader)
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

// user is one of several who use a task at a time, each at an address of its own.
type user struct {
	rig.Client
	sent        int
	credentials map[string]string // by method
}

func userPair(task *rig.Task) (alice, bob *user) {
	alice = &user{Client: client(task), credentials: map[string]string{}}
	bob = &user{Client: client(task).At(otherInsider), credentials: map[string]string{}}
	bob.User, bob.Password = "bob", "another password"
	return alice, bob
}

// otherInsider is bob's address where alice is at hers.
var otherInsider = netip.MustParseAddr("198.51.100.8")

// ask sends a request with a token of its own and a body. The problem is an answer with another one.
func (u *user) ask(method, body string) (problem string) {
	u.sent++
	token := fmt.Sprintf("%s-%d", u.User, u.sent)
	if u.credentials[method] == "" {
		line, err := u.Credentials(method, tokenTarget)
		if err != nil {
			return err.Error()
		}
		u.credentials[method] = line
	}
	head := method + " " + tokenTarget + " HTTP/1.1\r\nHost: origin.example:82\r\n" + tokenHeader + ": " + token + "\r\n" + u.credentials[method]
	if body != "" {
		head += "\r\nContent-Length: " + strconv.Itoa(len(body))
	}
	conn, err := u.Dial()
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	io.WriteString(conn, head+"\r\n\r\n"+body)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(response.Body)
	if body != "" && response.StatusCode >= 400 { // a body may be refused, or disturb its own request
		return ""
	}
	if err != nil || response.StatusCode != served || response.Header.Get(tokenHeader) != token || method != "HEAD" && string(text) != token {
		return fmt.Sprintf("%s of %s got %d with %q and %q, %v", method, token, response.StatusCode, response.Header.Get(tokenHeader), text, err)
	}
	return ""
}

// carriers are the methods whose body may stay on a destination's connection.
var carriers = []string{"POST", "PUT", "GET", "HEAD", "DELETE", "OPTIONS"}

// planted is a request in the body of another one.
const (
	planted      = "GET /planted HTTP/1.1\r\nHost: x\r\n" + tokenHeader + ": " + plantedToken + "\r\n\r\n"
	plantedToken = "planted"
)

// sharingProblems says which users get answers that are not theirs: after one another, then at a time.
func sharingProblems(t testing.TB, task *rig.Task) (problems []string) {
	defer startTokens(t)()
	alice, bob := userPair(task)
	note := func(problem string) {
		if problem != "" {
			problems = append(problems, problem)
		}
	}
	for _, method := range carriers {
		note(alice.ask(method, planted))
		for range 3 {
			note(bob.ask("GET", ""))
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			u, other := userPair(task)
			body := planted
			if i%2 == 1 {
				u, body = other, ""
			}
			u.sent = 1000 * (i + 1)
			for n := range 20 {
				if problem := u.ask(carriers[(n+i)%len(carriers)], body); problem != "" {
					mu.Lock()
					note(problem)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return problems
}

func TestNoUserGetsBytesOfAnother(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode map[string]any) {
		newWorld(t)
		task := rig.StartTask(t, options(map[string]any{"httpPorts": "80,82", "digest": mode["digest"]}))
		for _, problem := range sharingProblems(t, task) {
			t.Error(problem)
		}
	})
}

// besideBob has bob send requests from an address of his own until the test ends, while it goes on:
// each has to get bob's answer. The task needs tokenPort among its httpPorts.
func besideBob(t *testing.T, task *rig.Task) {
	t.Helper()
	startTokens(t)
	_, bob := userPair(task)
	var stop atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		for !stop.Load() || bob.sent < 5 {
			if problem := bob.ask("GET", ""); problem != "" {
				t.Error("beside alice: " + problem)
				return
			}
		}
	})
	t.Cleanup(func() {
		stop.Store(true)
		done.Wait()
	})
}

// framings are requests of which the client's side and the destination's could see different ends.
// Each holds a second request without credentials, which must be served as such by nobody.
var framings = []struct{ name, head, body string }{
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

const uncovered = "GET http://origin.example:81/uncovered HTTP/1.1\r\nHost: origin.example:81\r\n\r\n"

// Whatever a client's request looks like, the destination gets one request a connection, with one end.
func TestADestinationGetsOneRequestAConnection(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode map[string]any) {
		newWorld(t)
		task := rig.StartTask(t, options(map[string]any{"httpPorts": "80,81,82", "digest": mode["digest"]}))
		besideBob(t, task)
		var mu sync.Mutex
		var problems []string
		var requests int
		stop := rig.Raw(t, 81, func(conn net.Conn) {
			raw := &bytes.Buffer{}
			reader := bufio.NewReader(io.TeeReader(conn, raw))
			request, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			io.Copy(io.Discard, request.Body)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			rest, _ := io.ReadAll(reader)
			head, _, _ := strings.Cut(raw.String(), "\r\n\r\n")
			lower := strings.ToLower(head)
			mu.Lock()
			defer mu.Unlock()
			requests++
			if len(rest) > 0 || request.URL.Path != "/framed" || strings.Count(lower, "\r\ncontent-length")+strings.Count(lower, "\r\ntransfer-encoding") > 1 {
				problems = append(problems, fmt.Sprintf("the destination got %q", raw))
			}
		})
		const target = "http://origin.example:81/framed"
		var clients sync.WaitGroup
		for _, method := range carriers {
			credentials, err := client(task).Credentials(method, target)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range framings {
				head := f.head
				if strings.Contains(head, "%d") {
					head = fmt.Sprintf(head, len(f.body))
				}
				clients.Go(func() {
					conn, err := client(task).Dial()
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					io.WriteString(conn, method+" "+target+" HTTP/1.1\r\nHost: origin.example:81\r\n"+credentials+"\r\n"+head+"\r\n\r\n"+f.body)
					conn.SetReadDeadline(time.Now().Add(time.Second))
					text, _ := io.ReadAll(conn)
					if answers := strings.Count(string(text), "HTTP/1.1 200"); answers > 1 {
						t.Errorf("%s, %s: %d answers: %q", method, f.name, answers, text)
					}
				})
			}
		}
		clients.Wait()
		stop()
		for _, problem := range problems {
			t.Error(problem)
		}
		if requests < len(carriers) {
			t.Errorf("%d requests came to the destination", requests)
		}
	})
}
