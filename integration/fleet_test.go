package integration

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/icholy/digest"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// through is a client of the load balancer: it sends no PROXY header itself.
func through(proxy string) rig.Client {
	return rig.Client{Task: netip.MustParseAddrPort(proxy), User: "alice", Password: password}
}

// freshChallenge is a challenge to a client without credentials, for MD5.
func freshChallenge(t *testing.T, who rig.Client) *digest.Challenge {
	t.Helper()
	who.User = ""
	response, err := who.Request("GET", "http://origin.example/")
	must.OK(t, err)
	challenge, err := rig.Challenge(response.Response, "MD5")
	must.OK(t, err)
	return challenge
}

// answer is the header line with which alice answers a challenge, the count of times by now.
func answer(challenge *digest.Challenge, count int, method, target string) string {
	line, err := rig.Client{User: "alice", Password: password}.Answer(challenge, count, method, target)
	if err != nil {
		panic(err) // a test's own mistake
	}
	return line
}

// A captured header is good for the same method, path and client address, and with the whole URL in
// it for the same host. .NET signs every CONNECT with "/", which would open tunnels to any host.
func TestACapturedHeaderIsBoundToWhatItWasMadeFor(t *testing.T) {
	w := newWorld(t)
	task := startTask(t, options(nil))
	nobody := anonymous(task)
	challenge := freshChallenge(t, nobody)
	const page = "http://origin.example/page?x=1"
	signed := func(method, uri string) string {
		line, err := rig.Client{User: "alice", Password: password, URI: uri}.Answer(challenge, 1, method, "")
		must.OK(t, err)
		return line
	}
	get, whole, connect := signed("GET", "/page?x=1"), signed("GET", page), signed("CONNECT", "origin.example:443")
	wrong := strings.Replace(get, `response="`, `response="0`, 1)
	elsewhere := nobody.At(netip.MustParseAddr("198.51.100.8"))
	for _, c := range []struct {
		name           string
		who            rig.Client
		method, target string
		headers        []string
		want           int
		reason         string
	}{
		{"as it was made", nobody, "GET", page, []string{get}, served, ""},
		{"the same again", nobody, "GET", page, []string{get}, served, ""}, // what remains possible
		{"the same path elsewhere", nobody, "GET", "http://dual.example/page?x=1", []string{get}, served, ""},
		{"the whole URL, as it was made", nobody, "GET", page, []string{whole}, served, ""},
		{"CONNECT, as it was made", nobody, "CONNECT", "origin.example:443", []string{connect}, served, ""},

		{"the whole URL, elsewhere", nobody, "GET", "http://dual.example/page?x=1", []string{whole}, 407, ""},
		{"another method", nobody, "POST", page, []string{get}, 407, ""},
		{"another query", nobody, "GET", "http://origin.example/page?x=2", []string{get}, 407, ""},
		{"another path", nobody, "GET", "http://origin.example/other", []string{get}, 407, ""},
		{"CONNECT to another host", nobody, "CONNECT", "dual.example:443", []string{connect}, 407, ""},
		{"another client address", elsewhere, "GET", page, []string{get}, 407, ""},
		{"CONNECT signed with /", nobody, "CONNECT", "origin.example:443",
			[]string{signed("CONNECT", "/")}, 407, "target-mismatch"},

		// Squid gives the helper the first of several, and forwards none.
		{"before a wrong one", nobody, "GET", page, []string{get, wrong}, served, ""},
		{"behind a wrong one", nobody, "GET", page, []string{wrong, get}, 407, "header-malformed"},
		{"behind another scheme", nobody, "GET", page,
			[]string{"Proxy-Authorization: Basic YWxpY2U6eA==", get}, 407, "not-digest"},
		{"a space in the URL", nobody, "GET", "http://origin.example/a b?query=swordfish",
			[]string{signed("GET", "/a b?query=swordfish")}, http.StatusBadRequest, ""},
	} {
		if got := code(c.who.Request(c.method, c.target, c.headers...)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
		if head := w.origins.LastHead(); strings.Contains(strings.ToLower(head), "proxy-authorization") {
			t.Errorf("%s: the destination got\n%s", c.name, head)
		}
		if c.reason != "" {
			task.WaitForLog(t, `"auth":"`+c.reason+`"`)
		}
	}
	task.WaitForLog(t, `"status":400`)
	if log := strings.Join(task.Log(), "\n") + task.Errors(); strings.Contains(log, "swordfish") {
		t.Errorf("a query is in the log:\n%s", log)
	}
}

// A key is replaced in three rotations of the tasks: the new key comes behind the old one, then in
// front of it, then alone. Tasks of two adjacent steps accept each other's nonces.
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
			l := &rig.Loader{Client: client(from.task)}
			must.OK(t, l.Again("GET", "http://origin.example/"))
			l.Conn.Close()
			l.Challenges, l.Client = 0, client(to.task)
			if err := l.Again("GET", "http://origin.example/"); err != nil || l.Challenges > 0 != want {
				t.Errorf("a nonce of step %d at step %d: %d challenges, %v", i, k, l.Challenges, err)
			}
		}
	}
}
