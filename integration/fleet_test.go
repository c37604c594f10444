package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"squidfleet/internal/rig"
)

// through is a client of the load balancer: it sends no PROXY header itself.
func through(proxy string) rig.Client {
	return rig.Client{Task: netip.MustParseAddrPort(proxy), User: "alice", Password: password}
}

// session sends requests, each over a connection of its own, under one nonce for as long as it holds.
type session struct {
	client     rig.Client
	mu         sync.Mutex
	nonce      string
	count      int
	challenges atomic.Int64
}

// send returns the status of the answer, after answering one challenge if there is one.
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
		if s.nonce == nonce { // nobody else has got a new one in the meantime
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

func answer(nonce, nc, method, uri string) string {
	response := sum(sum("alice", "squidfleet", password), nonce, nc, "c", "auth", sum(method, uri))
	return `Proxy-Authorization: Digest username="alice", realm="squidfleet", nonce="` + nonce + `", uri="` + uri + `", qop=auth, nc=` + nc + `, cnonce="c", response="` + response + `"`
}

func TestOneChallengeIsEnoughForTheWholeFleet(t *testing.T) {
	newWorld(t)
	s := &session{client: through(startFleet(t, "fleet", 3).proxy)}
	for i := range 1000 {
		method, target, uri := "GET", "http://origin.example/", "/"
		if i%2 == 1 {
			method, target, uri = "CONNECT", "origin.example:443", "origin.example:443"
		}
		if status, err := s.send(method, target, uri); err != nil || status != served {
			t.Fatalf("request %d: %d, %v", i, status, err)
		}
	}
	if n := s.challenges.Load(); n != 1 {
		t.Errorf("%d challenges in 500 GETs and 500 CONNECTs, each over a connection of its own", n)
	}
}

// With Squid's own Digest the same client is challenged by each task anew, over and over: that is what the fleet's helper is for.
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

func TestManyWorkersShareANonce(t *testing.T) {
	newWorld(t)
	s := &session{client: through(startFleet(t, "fleet", 3).proxy)}
	const workers, requests = 32, 4000
	var failures atomic.Int64
	var first atomic.Value
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range requests / workers {
				if status, err := s.send("GET", "http://origin.example/", "/"); err != nil || status != served {
					failures.Add(1)
					first.CompareAndSwap(nil, fmt.Sprint(status, err))
				}
			}
		})
	}
	all.Wait()
	if failures.Load() > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", failures.Load(), requests, first.Load())
	}
	t.Logf("%d challenges", s.challenges.Load())
}

func TestClientsThatCloseAfterAChallengeGetIn(t *testing.T) {
	newWorld(t)
	proxy := startFleet(t, "fleet", 3).proxy
	for i := range 20 {
		response, err := through(proxy).Request("GET", "http://origin.example/", "Connection: close", "Proxy-Connection: close")
		if err != nil || response.StatusCode != served {
			t.Errorf("Go client, %d: %+v, %v", i, response, err)
		}
		if body, err := curl(t, "--proxy", "http://"+proxy, "--proxy-digest", "--proxy-user", "alice:"+password, "--http1.0", "--header", "Connection: close", "http://origin.example/"); err != nil || !strings.HasPrefix(body, "hello") {
			t.Errorf("curl, %d: %q, %v", i, body, err)
		}
	}
}

// What a captured header is good for, and what it is not.
func TestACapturedHeaderIsBoundToWhatItWasMadeFor(t *testing.T) {
	newWorld(t)
	o := options(nil)
	o.Edit = func(conf string) string {
		return strings.Replace(conf, "./entrypoint digest ", "./entrypoint digest -life 3s ", 1)
	}
	task := rig.StartTask(t, o)
	anonymous := client(task)
	anonymous.User = ""
	challenge, err := anonymous.Request("GET", "http://origin.example/page?x=1")
	if err != nil {
		t.Fatal(err)
	}
	made := time.Now()
	nonce := nonceOf(challenge)
	get := answer(nonce, "00000001", "GET", "/page?x=1")
	whole := answer(nonce, "00000001", "GET", "http://origin.example/page?x=1")
	connect := answer(nonce, "00000001", "CONNECT", "origin.example:443")
	elsewhere := anonymous
	elsewhere.Header = rig.ProxyHeader(netip.MustParseAddr("198.51.100.8"))
	check := func(name string, who rig.Client, method, target, header string, want int) {
		t.Helper()
		response, err := who.Request(method, target, header)
		if err != nil || response.StatusCode != want {
			t.Errorf("%s: %+v, %v, want %d", name, response, err, want)
		}
	}
	check("as it was made", anonymous, "GET", "http://origin.example/page?x=1", get, served)
	check("the same again", anonymous, "GET", "http://origin.example/page?x=1", get, served) // what remains possible
	check("the same path elsewhere", anonymous, "GET", "http://dual.example/page?x=1", get, served)
	check("with the whole URL, as it was made", anonymous, "GET", "http://origin.example/page?x=1", whole, served)
	check("CONNECT, as it was made", anonymous, "CONNECT", "origin.example:443", connect, served)

	check("with the whole URL, elsewhere", anonymous, "GET", "http://dual.example/page?x=1", whole, 407)
	check("another method", anonymous, "POST", "http://origin.example/page?x=1", get, 407)
	check("another path", anonymous, "GET", "http://origin.example/other", get, 407)
	check("another query", anonymous, "GET", "http://origin.example/page?x=2", get, 407)
	check("CONNECT to another host", anonymous, "CONNECT", "dual.example:443", connect, 407)
	check("GET's header for CONNECT", anonymous, "CONNECT", "origin.example:443", get, 407)
	check("from another client address", elsewhere, "GET", "http://origin.example/page?x=1", get, 407)
	time.Sleep(time.Until(made.Add(5 * time.Second)))
	check("after the nonce's life", anonymous, "GET", "http://origin.example/page?x=1", get, 407)
}

// A key is replaced in three steps, each a rotation of the tasks: the new key behind the old one, then in front of it, then alone. While tasks of two steps that follow each other are there at a time, a nonce of either is good on
// both. Putting the new one in front at once, or leaving the old one out, is not like that.
func TestKeysAreRotated(t *testing.T) {
	newWorld(t)
	const newKey = "another-key-for-tests-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	steps := []struct {
		keys string
		task *rig.Task
	}{{keys: rig.DigestKey}, {keys: rig.DigestKey + " " + newKey}, {keys: newKey + " " + rig.DigestKey}, {keys: newKey}}
	for i, step := range steps {
		o := onPort(options(nil), 35231+10*i)
		o.Environment = []string{"SQUIDFLEET_DIGEST_KEYS=" + step.keys}
		steps[i].task = rig.StartTask(t, o)
	}
	for i, from := range steps {
		for k, to := range steps {
			signing, _, _ := strings.Cut(from.keys, " ")
			want := !strings.Contains(to.keys, signing)
			if want && max(i-k, k-i) < 2 {
				t.Errorf("steps %d and %d do not fit together", i, k)
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

// A POST with a body gets through, with the credentials at hand and in answer to a challenge.
func TestBodiesGetThrough(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(rw, "%d bytes", len(body))
	}))
	proxy := startFleet(t, "fleet", 3).proxy
	const size = 300_000
	body, err := curl(t, "--proxy", "http://"+proxy, "--proxy-digest", "--proxy-user", "alice:"+password, "--data-binary", strings.Repeat("x", 100_000), "http://origin.example/")
	if err != nil || body != "100000 bytes" {
		t.Errorf("curl: %.100q, %v", body, err)
	}
	s := &session{client: through(proxy)}
	if status, err := s.send("GET", "http://origin.example/", "/"); err != nil || status != served {
		t.Fatal(status, err)
	}
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST http://origin.example/ HTTP/1.1\r\nHost: origin.example\r\nContent-Length: %d\r\n%s\r\n\r\n%s", size, answer(s.nonce, "000000ff", "POST", "/"), strings.Repeat("y", size))
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
