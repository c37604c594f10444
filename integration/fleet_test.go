package integration

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"squidfleet/internal/rig"
)

// through is a client of the load balancer: it sends no PROXY header itself.
func through(proxy string) rig.Client {
	return rig.Client{Task: netip.MustParseAddrPort(proxy), User: "alice", Password: password}
}

// session sends each request over a new connection, under one nonce as long as it holds.
type session struct {
	client     rig.Client
	mu         sync.Mutex
	nonce      string
	count      int
	challenges atomic.Int64
}

// send answers one challenge and returns the status.
func (s *session) send(method, target, uri string) (int, error) {
	for attempt := 0; ; attempt++ {
		s.mu.Lock()
		nonce := s.nonce
		s.count++
		nc := fmt.Sprintf("%08x", s.count)
		s.mu.Unlock()
		headers := []string{}
		if nonce != "" {
			headers = append(headers, answer(nonce, nc, method, uri))
		}
		anonymous := s.client
		anonymous.User = ""
		response, err := anonymous.Request(method, target, headers...)
		if err != nil {
			return 0, err
		}
		if response.StatusCode != http.StatusProxyAuthRequired || attempt == 1 {
			return response.StatusCode, nil
		}
		s.challenges.Add(1)
		fresh := nonceOf(response)
		s.mu.Lock()
		if s.nonce == nonce { // no other goroutine has a new one
			s.nonce, s.count = fresh, 0
		}
		s.mu.Unlock()
	}
}

// nonceOf is the nonce of a challenge for MD5.
func nonceOf(response *rig.Response) string {
	for _, challenge := range response.Header.Values("Proxy-Authenticate") {
		if _, rest, found := strings.Cut(challenge, `nonce="`); found && !strings.Contains(challenge, "SHA-256") {
			nonce, _, _ := strings.Cut(rest, `"`)
			return nonce
		}
	}
	return ""
}

// freshNonce is the nonce of a challenge to a client without credentials.
func freshNonce(t *testing.T, who rig.Client) string {
	t.Helper()
	challenge, err := who.Request("GET", "http://origin.example/")
	if err != nil {
		t.Fatal(err)
	}
	return nonceOf(challenge)
}

// answer is the header line that answers a challenge.
func answer(nonce, nc, method, uri string) string {
	response := sum(sum("alice", "squidfleet", password), nonce, nc, "c", "auth", sum(method, uri))
	return `Proxy-Authorization: Digest username="alice", realm="squidfleet", nonce="` + nonce +
		`", uri="` + uri + `", qop=auth, nc=` + nc + `, cnonce="c", response="` + response + `"`
}

func TestOneChallengeIsEnoughForTheWholeFleet(t *testing.T) {
	newWorld(t)
	s := &session{client: through(startFleet(t, "fleet", 3).proxy)}
	send := func(requests int) {
		for range requests / 2 {
			for method, target := range originOf {
				uri := strings.TrimPrefix(target, "http://origin.example")
				if status, err := s.send(method, target, uri); err != nil || status != served {
					t.Errorf("%s: %d, %v", method, status, err)
					return
				}
			}
		}
	}
	send(1000)
	if n := s.challenges.Load(); n != 1 {
		t.Errorf("%d challenges in 500 GETs and 500 CONNECTs, each over a new connection", n)
	}
	// Many workers use the same nonce at a time.
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() { send(126) })
	}
	all.Wait()
}

// With Squid's own Digest each task challenges the same client again. The fleet's helper prevents
// that.
func TestSquidsOwnDigestChallengesAgainAndAgain(t *testing.T) {
	newWorld(t)
	s := &session{client: through(startFleet(t, "squid", 3).proxy)}
	failures := 0
	for range 100 {
		if status, err := s.send("GET", "http://origin.example/", "/"); err != nil || status != served {
			failures++
		}
	}
	t.Logf("%d challenges, %d failures in 100 requests", s.challenges.Load(), failures)
	if s.challenges.Load() < 50 {
		t.Errorf("only %d challenges: the test above cannot tell", s.challenges.Load())
	}
}

func TestClientsThatCloseAfterAChallengeGetIn(t *testing.T) {
	newWorld(t)
	proxy := startFleet(t, "fleet", 3).proxy
	for i := range 20 {
		response, err := through(proxy).Request("GET", "http://origin.example/",
			"Connection: close", "Proxy-Connection: close")
		if err != nil || response.StatusCode != served {
			t.Errorf("Go client, %d: %+v, %v", i, response, err)
		}
		body, err := curl(t, "--proxy", "http://"+proxy, "--proxy-digest", "--proxy-user", "alice:"+password,
			"--http1.0", "--header", "Connection: close", "http://origin.example/")
		if err != nil || !strings.HasPrefix(body, "hello") {
			t.Errorf("curl, %d: %q, %v", i, body, err)
		}
	}
}

// A captured header can be used again only for the same method, path and client address.
func TestACapturedHeaderIsBoundToWhatItWasMadeFor(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(nil))
	nobody := anonymous(task)
	nonce := freshNonce(t, nobody)
	get := answer(nonce, "00000001", "GET", "/page?x=1")
	whole := answer(nonce, "00000001", "GET", "http://origin.example/page?x=1")
	connect := answer(nonce, "00000001", "CONNECT", "origin.example:443")
	elsewhere := nobody
	elsewhere.Header = rig.ProxyHeader(netip.MustParseAddr("198.51.100.8"))
	check := func(name string, who rig.Client, method, target, header string, want int) {
		t.Helper()
		response, err := who.Request(method, target, header)
		if err != nil || response.StatusCode != want {
			t.Errorf("%s: %+v, %v, want %d", name, response, err, want)
		}
	}
	check("as it was made", nobody, "GET", "http://origin.example/page?x=1", get, served)
	check("the same again", nobody, "GET", "http://origin.example/page?x=1", get, served) // what remains possible
	check("the same path elsewhere", nobody, "GET", "http://dual.example/page?x=1", get, served)
	check("with the whole URL, as it was made", nobody, "GET", "http://origin.example/page?x=1", whole, served)
	check("CONNECT, as it was made", nobody, "CONNECT", "origin.example:443", connect, served)

	check("with the whole URL, elsewhere", nobody, "GET", "http://dual.example/page?x=1", whole, 407)
	check("another method", nobody, "POST", "http://origin.example/page?x=1", get, 407)
	check("another path", nobody, "GET", "http://origin.example/other", get, 407)
	check("another query", nobody, "GET", "http://origin.example/page?x=2", get, 407)
	check("CONNECT to another host", nobody, "CONNECT", "dual.example:443", connect, 407)
	check("GET's header for CONNECT", nobody, "CONNECT", "origin.example:443", get, 407)
	check("from another client address", elsewhere, "GET", "http://origin.example/page?x=1", get, 407)
}

// A key is replaced in three steps, each a rotation of the tasks: the new key behind the old one,
// then in front of it, then alone. Tasks of two adjacent steps accept each other's nonces. Those
// of steps further apart may not.
func TestKeysAreRotated(t *testing.T) {
	newWorld(t)
	const newKey = "another-key-for-tests-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	steps := []struct {
		keys string
		task *squidTask
	}{
		{keys: rig.DigestKey}, {keys: rig.DigestKey + " " + newKey},
		{keys: newKey + " " + rig.DigestKey}, {keys: newKey},
	}
	for i, step := range steps {
		o := onPort(options(nil), 35231+10*i)
		o.Environment = []string{"SQUIDFLEET_DIGEST_KEYS=" + step.keys}
		steps[i].task = startTask(t, o)
	}
	for i, from := range steps {
		for k, to := range steps {
			signing, _, _ := strings.Cut(from.keys, " ")
			want := !strings.Contains(to.keys, signing)
			if want && max(i-k, k-i) < 2 {
				t.Errorf("steps %d and %d are not compatible", i, k)
			}
			s := &session{client: client(from.task)}
			if status, err := s.send("GET", "http://origin.example/", "/"); err != nil || status != served {
				t.Fatalf("step %d: %d, %v", i, status, err)
			}
			s.challenges.Store(0)
			s.client = client(to.task)
			if status, err := s.send("GET", "http://origin.example/", "/"); err != nil || status != served {
				t.Errorf("a nonce of step %d at step %d: %d, %v", i, k, status, err)
			}
			if got := s.challenges.Load() > 0; got != want {
				t.Errorf("a nonce of step %d at step %d: challenged %v, want %v", i, k, got, want)
			}
		}
	}
}

// A POST with a body gets through, with credentials at once or in answer to a challenge.
func TestBodiesGetThrough(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(rw, "%d bytes", len(body))
	}))
	proxy := startFleet(t, "fleet", 3).proxy
	const size = 300_000
	body, err := curl(t, "--proxy", "http://"+proxy, "--proxy-digest", "--proxy-user", "alice:"+password,
		"--data-binary", strings.Repeat("x", 100_000), "http://origin.example/")
	if err != nil || body != "100000 bytes" {
		t.Errorf("curl: %.100q, %v", body, err)
	}
	s := &session{client: through(proxy)}
	if status, err := s.send("GET", "http://origin.example/", "/"); err != nil || status != served {
		t.Fatal(status, err)
	}
	conn := ask(t, through(proxy), "POST", "http://origin.example/",
		fmt.Sprint("Content-Length: ", size), answer(s.nonce, "000000ff", "POST", "/"))
	io.WriteString(conn, strings.Repeat("y", size))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || string(text) != fmt.Sprint(size, " bytes") {
		t.Errorf("%d %.100q, %v", response.StatusCode, text, err)
	}
}
