package relay

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/icholy/digest"

	"squidfleet/internal/must"
)

// stub is a fleet whose ports answer as a test wants.
type stub struct {
	Fleet
	// offers are the values of Proxy-Authenticate, %s is the nonce; without any, no password is asked.
	offers []string
	// handle answers a request that may pass, and reports whether the connection goes on. The default
	// is echo.
	handle func(number int, conn net.Conn, r *bufio.Reader, h *request) bool
	// refuse has a connection closed as soon as there is a request on it.
	refuse func(connection int64) bool

	mu         sync.Mutex
	nonce      string
	heads      []*head
	challenges atomic.Int64
	conns      atomic.Int64
	listeners  []net.Listener
}

const secret = "correct horse ü \\ \" battery"

// start listens on a common port and on one for each address.
func (f *stub) start(t *testing.T, addresses int) *stub {
	t.Helper()
	f.Scheme, f.Host, f.nonce = cmp.Or(f.Scheme, "http"), "127.0.0.1", "first"
	if f.handle == nil {
		f.handle = echo
	}
	if f.offers != nil {
		f.User, f.Password = "alice", secret
	}
	for number := range addresses + 1 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must.OK(t, err)
		t.Cleanup(func() { l.Close() })
		f.listeners = append(f.listeners, l)
		port := l.Addr().(*net.TCPAddr).Port
		if number == 0 {
			f.Port = port
		} else {
			f.Addresses = append(f.Addresses, Address{number, port})
		}
		go f.accept(l, number)
	}
	return f
}

func (f *stub) accept(l net.Listener, number int) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		n := f.conns.Add(1)
		refused := f.refuse != nil && f.refuse(n)
		go func() {
			defer conn.Close()
			for r := bufio.NewReader(conn); f.one(number, conn, r, refused); {
			}
		}()
	}
}

// one serves a request and reports whether the connection goes on.
func (f *stub) one(number int, conn net.Conn, r *bufio.Reader, refused bool) bool {
	h, err := readHead(r, 1<<20)
	if err != nil {
		return false
	}
	f.mu.Lock()
	f.heads = append(f.heads, h)
	right := len(f.offers) == 0 || f.right(h)
	if !right {
		f.challenges.Add(1)
	}
	nonce := f.nonce
	f.mu.Unlock()
	if refused {
		return false
	}
	if !right {
		fmt.Fprint(conn, "HTTP/1.1 407 Who are you\r\nContent-Length: 4\r\n")
		for _, offer := range f.offers {
			fmt.Fprintf(conn, "Proxy-Authenticate: %s\r\n", strings.ReplaceAll(offer, "%s", nonce))
		}
		fmt.Fprint(conn, "\r\nwho?")
		return true
	}
	parsed, err := h.parse()
	return err == nil && f.handle(number, conn, r, parsed)
}

// right checks credentials.
func (f *stub) right(h *head) bool {
	got := h.get("Proxy-Authorization")
	if strings.HasPrefix(got, "Basic ") {
		r := http.Request{Header: http.Header{"Authorization": {got}}}
		user, password, _ := r.BasicAuth()
		return user == f.User && password == f.Password
	}
	c, err := digest.ParseCredentials(got)
	if err != nil || c.Nonce != f.nonce {
		return false
	}
	method, rest, _ := strings.Cut(h.line, " ")
	uri, _, _ := strings.Cut(rest, " ")
	want, err := digest.Digest(
		&digest.Challenge{Realm: c.Realm, Nonce: c.Nonce, Algorithm: c.Algorithm, QOP: []string{c.QOP}},
		digest.Options{Method: method, URI: uri, Count: c.Nc, Cnonce: c.Cnonce, Username: f.User, Password: f.Password})
	return err == nil && c.URI == uri && c.Response == want.Response && c.Username == f.User
}

// expire has the fleet know another nonce only.
func (f *stub) expire(nonce string) {
	f.mu.Lock()
	f.nonce = nonce
	f.mu.Unlock()
}

// got are the heads that came.
func (f *stub) got() []*head {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.heads)
}

// seen are the lines of the requests that came, those for the relay's own challenge left out.
func (f *stub) seen() (lines []string) {
	for _, h := range f.got() {
		if !strings.Contains(h.line, nowhere) {
			lines = append(lines, h.line)
		}
	}
	return lines
}

// echo answers with the address's number and the size of the body, and a tunnel with what it gets.
func echo(number int, conn net.Conn, r *bufio.Reader, h *request) bool {
	if h.method == "CONNECT" {
		fmt.Fprint(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		io.Copy(struct{ io.Writer }{conn}, r) // without a pipe
		return false
	}
	n, err := transfer(io.Discard, nil, r, conn, h.body, false)
	text := fmt.Sprintf("address %d, %d bytes", number, n)
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nx-OwN: 1\r\nContent-Length: %d\r\nA: 2\r\n\r\n%s", len(text), text)
	return err == nil
}

// start runs a relay until the test ends.
func start(t *testing.T, o Options, fleets ...*stub) *Server {
	t.Helper()
	o.MaxConnections = cmp.Or(o.MaxConnections, 1000)
	var all []Fleet
	for _, f := range fleets {
		all = append(all, f.Fleet)
	}
	s, err := Listen("127.0.0.1:0", o, all)
	must.OK(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		must.OK(t, <-done)
		if n := s.active.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return s
}

// conn is a client's connection to a relay.
type conn struct {
	*net.TCPConn
	r *bufio.Reader
}

func dial(t *testing.T, s *Server) conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	must.OK(t, err)
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return conn{c.(*net.TCPConn), bufio.NewReader(c)}
}

// ask sends a request, whose lines end with \n, and returns the answer with its body.
func (c conn) ask(request string) (*http.Response, string, error) {
	head, body, _ := strings.Cut(request, "\n\n")
	go io.WriteString(c, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n"+body)
	method, _, _ := strings.Cut(request, " ")
	return c.answer(method)
}

func (c conn) answer(method string) (*http.Response, string, error) {
	response, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	if method == "CONNECT" && response.StatusCode == 200 {
		return response, "", nil
	}
	text, err := io.ReadAll(response.Body)
	return response, string(text), err
}

// once asks over a connection of its own and wants a status and a text.
func once(t *testing.T, s *Server, request string, status int, text string) *http.Response {
	t.Helper()
	response, got, err := dial(t, s).ask(request)
	if err != nil || response.StatusCode != status || !strings.Contains(got, text) {
		t.Fatalf("%.80q: %v, %q, %v; want %d, %q", request, response, got, err, status, text)
	}
	return response
}

// as is a request's line for a session.
func as(session string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(session, "")
	return "\nProxy-Authorization: " + r.Header.Get("Authorization")
}

const get = "GET http://x/ HTTP/1.1\nHost: x"
