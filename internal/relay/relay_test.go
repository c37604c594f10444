package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"squidfleet/internal/must"
)

const (
	sha = `Digest realm="r", nonce="%s", qop="auth", algorithm=SHA-256`
	md5 = `Digest realm="r", nonce="%s", qop="auth", algorithm=MD5`
)

// All connections share one challenge, until the fleet wants another nonce.
func TestOneChallengeServesAllConnections(t *testing.T) {
	for name, offers := range map[string][]string{
		"SHA-256": {sha, md5}, "MD5": {`Negotiate`, md5}, "Digest before Basic": {`Basic realm="r"`, sha},
		"Basic": {`Basic realm="r"`},
	} {
		f := (&stub{offers: offers}).start(t, 0)
		s := start(t, Options{}, f)
		for round := range 2 {
			var all sync.WaitGroup
			for i := range 20 {
				request := get
				if i%2 == 1 {
					request = "CONNECT x:443 HTTP/1.1\nHost: x:443"
				}
				all.Go(func() {
					if response, _, err := dial(t, s).ask(request); err != nil || response.StatusCode != 200 {
						t.Errorf("%s: %v, %v", name, response, err)
					}
				})
			}
			all.Wait()
			f.expire("second")
			// Connections under way may each learn that the first nonce is over.
			if f.challenges.Load() < 1 || round == 0 && f.challenges.Load() > 1 {
				t.Errorf("%s: %d challenges", name, f.challenges.Load())
			}
		}
		for _, h := range f.got() {
			if got := h.get("Proxy-Authorization"); (name != "Basic") && strings.HasPrefix(got, "Basic") {
				t.Errorf("%s: the password was sent", name)
			}
		}
	}
}

// What the operator has to set right is told, with a status that is not the client's fault.
func TestAFleetThatCannotBeUsedIsExplained(t *testing.T) {
	wrong := (&stub{offers: []string{sha}}).start(t, 0)
	wrong.Password = "wrong"
	needless := (&stub{}).start(t, 0)
	needless.User = "alice"
	missing := (&stub{offers: []string{sha}}).start(t, 0)
	missing.User = ""
	for want, f := range map[string]*stub{
		"refuses the password of alice": wrong, "asks for no password": needless, "there is no user": missing,
		"asks for neither Digest nor Basic": (&stub{offers: []string{"Negotiate"}}).start(t, 0),
	} {
		s := start(t, Options{}, f)
		if want == "refuses the password of alice" {
			f.Fleet.Password = secret // of the stub
		}
		response := once(t, s, get, 502, want)
		if status := response.Header.Get("Proxy-Status"); !strings.Contains(status, "error=proxy_configuration_error") {
			t.Error(status)
		}
		if f.conns.Load() != 1 {
			t.Errorf("%s: tried %d times", want, f.conns.Load())
		}
	}
	// Beyond loopback, the password itself needs TLS or a word.
	for _, c := range []struct {
		fleet Fleet
		allow bool
		want  error
	}{
		{Fleet{Scheme: "http", Host: "proxy.example"}, false, errPlaintext},
		{Fleet{Scheme: "http", Host: "proxy.example"}, true, nil},
		{Fleet{Scheme: "https", Host: "proxy.example"}, false, nil},
		{Fleet{Scheme: "http", Host: "::1"}, false, nil},
	} {
		s := &Server{}
		c.fleet.PlaintextBasic = c.allow
		h := &head{fields: []field{{"Proxy-Authenticate", "Basic realm=r"}}}
		if err := s.newFleet(c.fleet, nil).login.learn(h); err != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A body cannot be sent twice. So an old nonce is renewed before one is sent, and a nonce that ends
// early costs this one request.
func TestABodyIsSentOnceOnly(t *testing.T) {
	f := (&stub{offers: []string{sha}}).start(t, 0)
	s := start(t, Options{}, f)
	const post = "POST http://x/ HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello"
	once(t, s, post, 200, "5 bytes")
	f.expire("second")
	once(t, s, post, 502, "the body cannot be sent twice")
	once(t, s, post, 200, "5 bytes")
	f.expire("third")
	(*s.fleets.Load())[0].login.challenge.at = time.Now().Add(-bodyNonce - time.Second)
	once(t, s, post, 200, "5 bytes")
	if got := f.seen(); len(got) != 4 {
		t.Errorf("%q", got)
	}
}

func TestWhatFailsBeforeTheRequestIsTriedAgainAndNothingElse(t *testing.T) {
	f := (&stub{offers: []string{sha}, refuse: func(n int64) bool { return n <= 2 }}).start(t, 0)
	once(t, start(t, Options{}, f), get, 200, "address 0")
	if f.conns.Load() != 3 {
		t.Errorf("%d connections", f.conns.Load())
	}
	f = (&stub{offers: []string{sha}, refuse: func(int64) bool { return true }}).start(t, 0)
	once(t, start(t, Options{}, f), get, 502, "")
	if f.conns.Load() != 3 {
		t.Errorf("%d connections", f.conns.Load())
	}
	// Now the request is on its way when the connection ends.
	f = (&stub{refuse: func(int64) bool { return true }}).start(t, 0)
	response := once(t, start(t, Options{}, f), get, 502, "closed the connection without an answer")
	if got := response.Header.Get("Proxy-Status"); !strings.Contains(got, "error=connection_terminated; next-hop=") {
		t.Error(got)
	}
	if got := f.seen(); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestASessionKeepsItsAddress(t *testing.T) {
	f := (&stub{}).start(t, 3)
	s := start(t, Options{}, f)
	numbers := map[string]bool{}
	for i := range 20 {
		session := as(fmt.Sprint("cart-", i))
		_, first, err := dial(t, s).ask(get + session)
		must.OK(t, err)
		numbers[first] = true
		once(t, s, get+session, 200, first)
	}
	if len(numbers) != 3 || numbers["address 0, 0 bytes"] {
		t.Errorf("%v", numbers)
	}
	once(t, s, get, 200, "address 0")
	// A port that is not served refuses its sessions, and no other has them.
	_, text, _ := dial(t, s).ask(get + as("cart"))
	var number int
	fmt.Sscanf(text, "address %d", &number)
	f.listeners[number].Close()
	before := len(f.seen())
	response := once(t, s, get+as("cart"), 502, "connection refused")
	if got := response.Header.Get("Proxy-Status"); !strings.Contains(got, "error=connection_refused; next-hop=") {
		t.Error(got)
	}
	if len(f.seen()) != before {
		t.Errorf("%q", f.seen()[before:])
	}
	once(t, start(t, Options{Failover: true}, f), get+as("cart"), 200, "address")
	// Without ports there are no sessions.
	once(t, start(t, Options{}, (&stub{}).start(t, 0)), get+as("cart"), 502, "no fleet has ports of its addresses")
}

// The hash decides alone: sessions spread, and an address that goes moves its own only.
func TestSessionsAreRankedByAHash(t *testing.T) {
	s := &Server{}
	fleets := func(five int) []Fleet {
		all := []Fleet{{Name: "a", Region: "eu-west-1"}, {Name: "b", Region: "us-east-1"}}
		for k := range five {
			all[k%2].Addresses = append(all[k%2].Addresses, Address{k + 1, 1000 + k})
		}
		return all
	}
	place := func(session string) (string, int) {
		plan, err := s.plan(session)
		must.OK(t, err)
		return plan[0].fleet.Name, plan[0].number
	}
	where := map[string]int{}
	s.SetFleets(fleets(5))
	count := map[int]int{}
	for i := range 1000 {
		session := fmt.Sprint("session-", i)
		_, where[session] = place(session)
		count[where[session]]++
		if name, number := place(session + ".us-east-1"); name != "b" || number%2 == 1 {
			t.Fatalf("%s: %s %d", session, name, number)
		}
		if name, _ := place(session + ".a"); name != "a" {
			t.Fatalf("%s: %s", session, name)
		}
	}
	for number, n := range count {
		if n < 150 || n > 250 {
			t.Errorf("address %d has %d of 1000 sessions", number, n)
		}
	}
	s.SetFleets(fleets(4))
	for session, number := range where {
		if _, now := place(session); now != number && number != 5 {
			t.Fatalf("%s moved from %d to %d", session, number, now)
		}
	}
	// A relay elsewhere comes to the same.
	if name, number := place("cart-42"); name != "b" || number != 4 {
		t.Errorf("cart-42 is at %s %d", name, number)
	}
	// A name that ends like no fleet is a name; a limit without a name is no session.
	if _, number := place("john@mail.example"); number == 0 {
		t.Error("no session")
	}
	if name, number := place(".us-east-1"); name != "b" || number != 0 {
		t.Errorf("%s %d", name, number)
	}
	// Without a session each fleet gets its share, and is tried if another fails.
	s.SetFleets(fleets(3))
	firsts := map[string]int{}
	for range 300 {
		plan, _ := s.plan("")
		firsts[plan[0].fleet.Name]++
		if len(plan) != attempts || plan[1].fleet == plan[0].fleet {
			t.Fatalf("%v", plan)
		}
	}
	if firsts["a"] != 200 || firsts["b"] != 100 {
		t.Errorf("%v", firsts)
	}
}

func TestTheClientsCredentialsAreASessionAndGoNoFurther(t *testing.T) {
	events := make(chan Event, 10)
	f := (&stub{offers: []string{sha}}).start(t, 2)
	s := start(t, Options{RequireSession: true, Report: func(e Event) { events <- e }}, f)
	response := once(t, s, get, 407, "a session is required")
	if got := response.Header.Get("Proxy-Authenticate"); !strings.HasPrefix(got, "Basic ") {
		t.Error(got)
	}
	for _, wrong := range []string{"Bearer x", "Basic %", "Basic AQ=="} {
		once(t, s, get+"\nProxy-Authorization: "+wrong, 407, "")
	}
	once(t, s, get+as(strings.Repeat("x", maxSession+1)), 407, "at most 128 bytes")
	once(t, s, "GET http://u:p@x:8080/path?token=t HTTP/1.1\nHost: x"+as("cart"), 200, "address")
	for _, h := range f.got() {
		if len(h.values("Proxy-Authorization")) > 1 || strings.HasPrefix(h.get("Proxy-Authorization"), "Basic") {
			t.Errorf("%+v", h)
		}
	}
	if e := <-events; e.Target != "x:8080" || e.Session != "cart" || e.Status != 200 ||
		strings.Contains(fmt.Sprint(e), "token") || len(events) > 0 {
		t.Errorf("%+v", e)
	}
}

// Heads keep order and spelling; what is for this hop is not passed on.
func TestHeadsArePassedOnAsTheyAre(t *testing.T) {
	f := (&stub{}).start(t, 0)
	c := dial(t, start(t, Options{}, f))
	go io.WriteString(c, "\r\nGET http://x/%7e\\\"?q HTTP/1.1\r\nzz: 1\r\nHost: x\r\naCCept:2\r\nfolded: a\r\n  b\r\n"+
		"Connection: Own, Host\r\nOwn: 3\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Connection: keep-alive\r\n\r\n")
	answer, err := readHead(c.r, 1000)
	must.OK(t, err)
	got := f.got()[0]
	want := []field{{"zz", "1"}, {"Host", "x"}, {"aCCept", "2"}, {"folded", "a b"}}
	if got.line != "GET http://x/%7e\\\"?q HTTP/1.1" || !slices.Equal(got.fields, want) {
		t.Errorf("%+v", got)
	}
	if want := []field{{"x-OwN", "1"}, {"Content-Length", "18"}, {"A", "2"}}; !slices.Equal(answer.fields, want) {
		t.Errorf("%+v", answer)
	}
}

// No request that two readers could read differently reaches a fleet, nor one that is no proxy's.
func TestRequestsThatCouldBeTwoAreRefused(t *testing.T) {
	f := (&stub{}).start(t, 0)
	s := start(t, Options{}, f)
	for _, lines := range []string{
		"\nContent-Length: 1\nTransfer-Encoding: chunked", "\nContent-Length: 1\nContent-Length: 2",
		"\nContent-Length: +1", "\nContent-Length: 1, 1", "\nContent-Length : 1", "\nTransfer-Encoding: x, chunked",
		"\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked", "\nno colon", "\nA: \x01", "\n: x",
		"\nTransfer-Encoding:\n \vchunked",
	} {
		once(t, s, "POST http://x/ HTTP/1.1\nHost: x"+lines+"\n\n0123456789", 400, "")
	}
	for _, line := range []string{
		"GET  http://x/ HTTP/1.1", "GET http://x/ a HTTP/1.1", "GET http://x/ HTTP/1.1 a", "PRI * HTTP/2.0",
		"GET http://x/", "\x16\x03\x01",
	} {
		once(t, s, line, 400, "")
	}
	once(t, s, get+"\nA: "+strings.Repeat("x", maxRequestHead), 431, "")
	once(t, s, "GET / HTTP/1.1\nHost: evil.example", 421, "this is a proxy")
	if got := f.seen(); got != nil {
		t.Errorf("%q", got)
	}
}

func TestStatusIsForProgramsOfThisMachine(t *testing.T) {
	s := start(t, Options{}, (&stub{}).start(t, 2))
	once(t, s, get+as("cart"), 200, "")
	own := "GET http://relay.squidfleet/ HTTP/1.1\nHost: relay.squidfleet"
	for _, request := range []string{
		own, "GET / HTTP/1.1\nHost: " + s.Addr().String(), "GET / HTTP/1.1\nHost: localhost:3128\nSec-Fetch-Site: none",
	} {
		once(t, s, request, 200, `"session": "cart"`)
	}
	for _, request := range []string{
		own + "\nOrigin: http://evil.example", own + "\nReferer: http://evil.example/",
		"GET / HTTP/1.1\nHost: 127.0.0.1\nSec-Fetch-Site: cross-site",
	} {
		once(t, s, request, 403, "not for web pages")
	}
	once(t, s, "GET / HTTP/1.1\nHost: rebound.example:3128", 421, "")
	// The body that nobody reads is not the next request.
	post := "POST http://relay.squidfleet/ HTTP/1.1\nHost: relay.squidfleet\nContent-Length: 5\n\nGET /"
	if response := once(t, s, post, 405, ""); !response.Close {
		t.Errorf("%+v", response)
	}
	once(t, s, "GET /other HTTP/1.1\nHost: 127.0.0.1", 404, "")
	once(t, s, "GET /healthz HTTP/1.1\nHost: pod", 200, "ok")
	for i := range maxSessions + 10 {
		s.count(fmt.Sprint("more-", i), (*s.fleets.Load())[0].any)()
	}
	if got := len(s.Status().Sessions); got != maxSessions {
		t.Errorf("%d sessions are kept", got)
	}
}

func TestTheRelayIsNoOpenProxy(t *testing.T) {
	fleets := []Fleet{{Scheme: "http", Host: "h", Port: 1}}
	for address, allow := range map[string]string{
		"0.0.0.0:0": "", "[::]:0": "", "127.0.0.1:0": "0.0.0.0/0", "[::1]:0": "2000::/3",
	} {
		var o Options
		if allow != "" {
			o.Allow = []netip.Prefix{netip.MustParsePrefix(allow)}
		}
		if s, err := Listen(address, o, fleets); err == nil || !strings.Contains(err.Error(), "allow") {
			t.Errorf("%s %s: %v, %v", address, allow, s, err)
		}
	}
	s := &Server{o: Options{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	for address, want := range map[string]bool{
		"127.0.0.9": true, "::1": true, "::ffff:10.1.2.3": true, "10.1.2.3": true, "11.1.2.3": false,
		"fe80::1%eth0": false,
	} {
		if got := s.allows(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestConnectionsBeyondTheLimitAreRefused(t *testing.T) {
	s := start(t, Options{MaxConnections: 1}, (&stub{}).start(t, 0))
	first := dial(t, s)
	if _, _, err := first.ask(get); err != nil {
		t.Fatal(err)
	}
	response := once(t, s, get, 503, "1 connections are open")
	if got := response.Header.Get("Proxy-Status"); !strings.Contains(got, "connection_limit_reached") {
		t.Error(got)
	}
	if _, _, err := first.ask(get); err != nil {
		t.Error(err)
	}
}

// A client's connection has one to the fleet, for as long as session and fleet allow.
func TestAConnectionIsUsedForOneClientOnly(t *testing.T) {
	var closeNow func()
	f := &stub{}
	f.handle = func(number int, conn net.Conn, r *bufio.Reader, h *request) bool {
		f.mu.Lock()
		closeNow = func() { conn.Close() }
		f.mu.Unlock()
		return !strings.Contains(h.target, "drop") && echo(number, conn, r, h)
	}
	f.start(t, 1)
	s := start(t, Options{}, f)
	c := dial(t, s)
	for i, step := range []struct {
		request string
		conns   int64
	}{
		{get, 1}, {get, 1}, {get + as("cart"), 2}, {get + as("cart"), 2}, {get, 3},
		{"GET http://relay.squidfleet/healthz HTTP/1.1\nHost: x", 3}, {get, 3},
	} {
		if _, _, err := c.ask(step.request); err != nil || f.conns.Load() != step.conns {
			t.Fatalf("%d: %d connections, %v", i, f.conns.Load(), err)
		}
	}
	// The fleet closes the idle connection: the next request has another one.
	f.mu.Lock()
	closeNow()
	f.mu.Unlock()
	if _, _, err := c.ask(get); err != nil || f.conns.Load() != 4 {
		t.Errorf("%d connections, %v", f.conns.Load(), err)
	}
	once(t, s, get, 200, "")
	if f.conns.Load() != 5 {
		t.Errorf("%d connections", f.conns.Load())
	}
	// It closes while a request comes: the client knows that its own connection was an old one, too.
	if response, _, err := c.ask("GET http://x/drop HTTP/1.1\nHost: x"); err != io.ErrUnexpectedEOF {
		t.Errorf("%v, %v", response, err)
	}
	if got := f.seen(); strings.Count(strings.Join(got, "\n"), "/drop") != 1 {
		t.Errorf("sent twice: %q", got)
	}
}

// A client that sends nothing, or half a head, does not keep its place.
func TestSlowClientsLoseTheirConnection(t *testing.T) {
	for begin, shorten := range map[string]*time.Duration{
		"": &firstTimeout, "GET http://x/ HT": &headTimeout, get + "\n\n": &idleTimeout,
	} {
		before := *shorten
		*shorten = 50 * time.Millisecond
		t.Run("", func(t *testing.T) {
			c := dial(t, start(t, Options{}, (&stub{}).start(t, 0)))
			io.WriteString(c, begin)
			if _, err := io.Copy(io.Discard, c.r); err != nil {
				t.Errorf("%q: %v", begin, err)
			}
		})
		*shorten = before
	}
}

func TestBodiesAreStreamed(t *testing.T) {
	f, aborted := &stub{}, make(chan error, 1)
	f.handle = func(number int, conn net.Conn, r *bufio.Reader, h *request) bool {
		switch {
		case strings.Contains(h.target, "abort"):
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err := transfer(io.Discard, nil, r, conn, h.body, false)
			aborted <- err
			return false
		case strings.Contains(h.target, "bye"):
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			return true
		case strings.Contains(h.target, "early"):
			fmt.Fprint(conn, "HTTP/1.1 413 Too much\r\nContent-Length: 4\r\n\r\nstop")
			return false
		case h.get("Expect") != "":
			fmt.Fprint(conn, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
		case strings.Contains(h.target, "chunks"):
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
				"3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
			return true
		case strings.Contains(h.target, "close"):
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\nuntil the end")
			return false
		case strings.Contains(h.target, "switch"):
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			return false
		case strings.Contains(h.target, "long"):
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nA: %s\r\n\r\n", strings.Repeat("x", maxAnswerHead))
			return false
		case strings.Contains(h.target, "twice"):
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
			return false
		case strings.Contains(h.target, "short"):
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
			return false
		}
		return echo(number, conn, r, h)
	}
	f.start(t, 0)
	s := start(t, Options{}, f)
	long := strings.Repeat("x", 3<<20)
	c := dial(t, s)
	for _, step := range []struct{ request, want string }{
		{fmt.Sprintf("POST http://x/ HTTP/1.1\nHost: x\nContent-Length: %d\n\n%s", len(long), long), "3145728 bytes"},
		{"POST http://x/ HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n" +
			"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nT: 1\r\n\r\n", "6 bytes"},
		{"GET http://x/chunks HTTP/1.1\nHost: x", "abcde"},
		{"HEAD http://x/head HTTP/1.1\nHost: x", ""},
		{"GET http://x/close HTTP/1.1\nHost: x", "until the end"},
	} {
		response, text, err := c.ask(step.request)
		if err != nil || response.StatusCode != 200 || !strings.Contains(text, step.want) {
			t.Fatalf("%.60q: %v, %q, %v", step.request, response, text, err)
		}
	}
	// HTTP/1.0 knows no chunks.
	response := once(t, s, "GET http://x/chunks HTTP/1.0\nHost: x\nConnection: keep-alive", 200, "abcde")
	if response.TransferEncoding != nil || !response.Close {
		t.Errorf("%+v", response)
	}
	if _, text, err := dial(t, s).ask("GET http://x/short HTTP/1.1\nHost: x"); err != io.ErrUnexpectedEOF {
		t.Errorf("%q, %v", text, err)
	}
	for path, want := range map[string]string{
		"switch": "another protocol", "long": "the head is too long", "twice": "the length",
	} {
		once(t, s, "GET http://x/"+path+" HTTP/1.1\nHost: x", 502, want)
	}
	// The answer arrives, although the client has not sent all.
	c = dial(t, s)
	early := "POST http://x/early HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
	// Some programs give up when they cannot send, and never look at the answer.
	if _, err := fmt.Fprintf(c, early, 6*len(long), strings.Repeat(long, 5)); err != nil {
		t.Error(err)
	}
	response, text, err := c.answer("POST")
	if err != nil || response.StatusCode != 413 || text != "stop" || !response.Close {
		t.Errorf("%v, %q, %v", response, text, err)
	}
	// The end of either side is the other's.
	if response := once(t, s, "GET http://x/bye HTTP/1.1\nHost: x", 200, ""); !response.Close {
		t.Errorf("%+v", response)
	}
	once(t, s, get+"\nConnection: close", 200, "")
	if heads := f.got(); heads[len(heads)-1].get("Connection") != "close" {
		t.Errorf("%+v", heads[len(heads)-1])
	}
	c = dial(t, s)
	io.WriteString(c, "POST http://x/abort HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
	c.CloseWrite()
	if err := <-aborted; err != io.EOF {
		t.Errorf("a body that ends early: %v", err)
	}
	waiting := dial(t, s)
	for _, want := range []int{103, 100} {
		if want == 103 {
			io.WriteString(waiting, "POST http://x/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"+
				"Content-Length: 2\r\n\r\n")
		}
		if response, _, err := waiting.answer("POST"); err != nil || response.StatusCode != want {
			t.Fatalf("%v, %v; want %d", response, err, want)
		}
	}
	io.WriteString(waiting, "ab")
	if _, text, err = waiting.answer("POST"); err != nil || !strings.Contains(text, "2 bytes") {
		t.Errorf("%q, %v", text, err)
	}
}

// Each side may end its half first; what is said with the request is not lost.
func TestTunnelsKeepTheirHalves(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		f, o := &stub{}, Options{}
		f.Scheme = scheme
		f.start(t, 0)
		if scheme == "https" {
			o.Roots = secure(t, f)
		}
		s := start(t, o, f)
		c := dial(t, s)
		io.WriteString(c, "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\nearly, ")
		if response, _, err := c.answer("CONNECT"); err != nil || response.StatusCode != 200 {
			t.Fatalf("%v, %v", response, err)
		}
		sent := strings.Repeat("late", 1<<20)
		go func() {
			io.WriteString(c, sent)
			c.CloseWrite()
		}()
		if got, err := io.ReadAll(c.r); err != nil || string(got) != "early, "+sent {
			t.Errorf("%s: %d bytes, %v", scheme, len(got), err)
		}
	}
}

// The kernel moves much by itself. A user other than root has few pipes of full size for that.
func TestOnlyATunnelInBulkHasPipes(t *testing.T) {
	pipes := func() (n int) {
		all, err := filepath.Glob("/proc/self/fd/*")
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		for _, name := range all {
			if to, _ := os.Readlink(name); strings.HasPrefix(to, "pipe:") {
				n++
			}
		}
		return n
	}
	s := start(t, Options{}, (&stub{}).start(t, 0))
	before := pipes()
	tunnels := make([]conn, 20)
	for i := range tunnels {
		tunnels[i] = dial(t, s)
		response, _, err := tunnels[i].ask("CONNECT x:443 HTTP/1.1\nHost: x:443")
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("%v, %v", response, err)
		}
		for range 2 {
			io.WriteString(tunnels[i], "x")
			if got, err := tunnels[i].r.ReadByte(); err != nil || got != 'x' {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
	if after := pipes(); after > before {
		t.Errorf("%d ends of pipes more for small tunnels", after-before)
	}
	const much = 4 << 20
	for _, c := range tunnels {
		go c.Write(make([]byte, much))
		if n, err := io.CopyN(io.Discard, c.r, much); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if after, want := pipes(), 2*len(tunnels); after < want {
		t.Errorf("%d ends of pipes for tunnels in bulk, want %d: the kernel does not move their bytes", after, want)
	}
}

// secure puts TLS before a stub's common port.
func secure(t *testing.T, f *stub) *x509.CertPool {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	t.Cleanup(server.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", server.TLS)
	must.OK(t, err)
	t.Cleanup(func() { l.Close() })
	go f.accept(l, 0)
	f.Port = l.Addr().(*net.TCPAddr).Port
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return roots
}

func TestACertificateOfStrangersIsRefused(t *testing.T) {
	f := &stub{offers: []string{`Basic realm="r"`}}
	f.Scheme = "https"
	f.start(t, 0)
	roots := secure(t, f)
	once(t, start(t, Options{Roots: roots}, f), get, 200, "address 0")
	before := len(f.got())
	response := once(t, start(t, Options{Roots: x509.NewCertPool()}, f), get, 502, "certificate")
	if got := response.Header.Get("Proxy-Status"); !strings.Contains(got, "error=tls_certificate_error") {
		t.Error(got)
	}
	if len(f.got()) != before {
		t.Error("something was sent all the same")
	}
}

// At the end, what is under way may finish for as long as Drain says.
func TestTheEndLetsConnectionsFinish(t *testing.T) {
	for _, drain := range []time.Duration{time.Hour, time.Millisecond} {
		f := (&stub{}).start(t, 0)
		s, err := Listen("127.0.0.1:0", Options{MaxConnections: 10, Drain: drain}, []Fleet{f.Fleet})
		must.OK(t, err)
		ctx, end := context.WithCancel(t.Context())
		defer end()
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		idle, tunnel := dial(t, s), dial(t, s)
		if _, _, err := idle.ask(get); err != nil {
			t.Fatal(err)
		}
		if _, _, err := tunnel.ask("CONNECT x:443 HTTP/1.1\nHost: x:443"); err != nil {
			t.Fatal(err)
		}
		end()
		if _, err := idle.r.Peek(1); err != io.EOF {
			t.Errorf("the idle connection: %v", err)
		}
		if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
			c.Close()
			t.Error("it still listens")
		}
		if drain == time.Hour {
			io.WriteString(tunnel, "on\n")
			if line, err := tunnel.r.ReadString('\n'); line != "on\n" {
				t.Errorf("the tunnel: %q, %v", line, err)
			}
			tunnel.Close()
		}
		must.OK(t, <-served)
		if _, err := tunnel.r.Peek(1); err == nil {
			t.Error("the tunnel goes on")
		}
	}
}

func TestAFleetIsReadFromAURL(t *testing.T) {
	f, err := ParseFleet("https://al%20ice@[2001:db8::1]:35201?addresses=2&name=eu")
	want := Fleet{Name: "eu", Scheme: "https", Host: "2001:db8::1", Port: 35201, User: "al ice",
		Addresses: []Address{{1, 35202}, {2, 35203}}}
	if err != nil || !reflect.DeepEqual(f, want) {
		t.Errorf("%+v, %v", f, err)
	}
	for text, want := range map[string]string{
		"http://u:secret@h:1": "has a password in it", "http://u:sec ret@h:1": "is not a URL", "h:1": "is not a URL",
		"socks5://h:1": "is not a URL", "http://:1": "is not a URL", "http://h:1/path": "is not a URL",
		"http://h": "no port", "http://h:70000": "no port", "http://h:1?addresses=50": "not from 0 to 49",
		"http://h:65534?addresses=2": "not from 0 to 1", "http://h:1?adresses=1": "there are addresses and name",
		"http://h:1?name=a&name=b": "more than once",
	} {
		_, err := ParseFleet(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: %v", text, err)
		}
	}
	s := &Server{}
	if err := s.SetFleets([]Fleet{f, f}); err == nil || !strings.Contains(err.Error(), "two fleets are called eu") {
		t.Error(err)
	}
	s.SetFleets([]Fleet{f})
	same := (*s.fleets.Load())[0]
	if s.SetFleets([]Fleet{f}); (*s.fleets.Load())[0] != same {
		t.Error("a fleet that is the same is a new one")
	}
	// A fleet that is read again keeps its nonce, unless its password is another one.
	for password, same := range map[string]bool{"": true, "other": false} {
		s.SetFleets([]Fleet{f})
		before := (*s.fleets.Load())[0].login
		next := f
		next.Password, next.Addresses = password, nil
		s.SetFleets([]Fleet{next})
		if got := (*s.fleets.Load())[0].login == before; got != same {
			t.Errorf("%q: %v", password, got)
		}
	}
}
