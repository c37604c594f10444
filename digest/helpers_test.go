package digest

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
)

const (
	testKey      = "0123456789abcdefghijklmnopqrstuvwxyz-first"
	otherTestKey = "0123456789abcdefghijklmnopqrstuvwxyz-second"
	testRealm    = "squidfleet"
	testPassword = "correct horse battery staple"
)

var (
	testClient = netip.MustParseAddr("198.51.100.7")
	testStart  = time.Unix(1_800_000_000, 0)
)

// clock is a clock that tests move by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

// config is what a verifier is made of.
type config struct {
	realm string
	users map[string]string // name to password
	old   map[string]string // the same, of users with an MD5 hash alone
	keys  string
	basic bool
	now   func() time.Time
}

// newVerifier returns a verifier with the user "proxy" on a clock of its own, and an attempt with a
// nonce of that verifier.
func newVerifier(t testing.TB, change func(*config)) (*Verifier, *clock, attempt) {
	t.Helper()
	clock := &clock{now: testStart}
	c := config{realm: testRealm, users: map[string]string{"proxy": testPassword}, keys: testKey, now: clock.Now}
	if change != nil {
		change(&c)
	}
	keys, err := ParseKeys(c.keys)
	must.OK(t, err)
	file := passwordFile(c.realm, c.users, MD5, SHA256) + passwordFile(c.realm, c.old, MD5)
	v, err := New([]byte(file), keys, c.basic)
	must.OK(t, err)
	v.now = c.now
	return v, clock, newAttempt(nonceFor(t, v, testClient))
}

func passwordFile(realm string, users map[string]string, algorithms ...Algorithm) string {
	var file strings.Builder
	for name, password := range users {
		for _, a := range algorithms {
			fmt.Fprintf(&file, "%s:%s:%s\n", name, realm, strings.ToUpper(HA1(a, name, realm, password)))
		}
	}
	return file.String()
}

// attempt is what a client does with a challenge; a test changes what it wants to be different.
type attempt struct {
	client                netip.Addr
	alg                   Algorithm
	user, password, realm string
	nonce, nc, cnonce     string
	method, uri           string // in the response
	requestMethod, target string // of the request; the method of the response if empty
	rewrite               func(header string) string
}

func newAttempt(nonce string) attempt {
	return attempt{
		client: testClient, alg: SHA256, user: "proxy", password: testPassword, realm: testRealm,
		method: "GET", uri: "/path?q=1", nonce: nonce, nc: "00000001", cnonce: "c0ffee",
		target: "http://origin.example/path?q=1",
	}
}

// header computes the response independently of the package's own.
func (a attempt) header() string {
	ha1 := HA1(a.alg, a.user, a.realm, a.password)
	ha2 := string(a.alg.hex(nil, []byte(a.method+":"+a.uri)))
	response := string(a.alg.hex(nil, []byte(strings.Join([]string{ha1, a.nonce, a.nc, a.cnonce, "auth", ha2}, ":"))))
	h := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=%s, response="%s", `+
		`qop=auth, nc=%s, cnonce="%s"`, a.user, a.realm, a.nonce, a.uri, a.alg, response, a.nc, a.cnonce)
	if a.rewrite != nil {
		h = a.rewrite(h)
	}
	return h
}

func (a attempt) request() *Request {
	method := a.requestMethod
	if method == "" {
		method = a.method
	}
	return &Request{Client: a.client, Method: []byte(method), Target: []byte(a.target), Header: []byte(a.header())}
}

func (a attempt) expect(t testing.TB, v *Verifier, want Reason) Result {
	t.Helper()
	r := v.Verify(a.request())
	if r.Reason != want {
		t.Fatalf("got %v, want %v", r.Reason, want)
	}
	if (r.User != "") != (want == Accepted) {
		t.Fatalf("%v: user is %q", want, r.User)
	}
	return r
}

// renew sends the attempt and takes the nonce of its refusal for the next one.
func (a *attempt) renew(t testing.TB, v *Verifier, want Reason) Result {
	t.Helper()
	r := a.expect(t, v, want)
	if !r.Stale || !r.Challenge {
		t.Fatalf("%v: stale %v, challenge %v", want, r.Stale, r.Challenge)
	}
	a.nonce = string(r.Nonce[:])
	return r
}

func (a attempt) wrong() attempt {
	a.password = "wrong"
	return a
}

func nonceFor(t testing.TB, v *Verifier, client netip.Addr) string {
	t.Helper()
	r := v.Verify(&Request{Client: client, Method: []byte("GET"), Target: []byte("http://origin.example/")})
	if r.Reason != NoCredentials || !r.Challenge || r.Stale || r.Delay != 0 {
		t.Fatalf("no credentials: got %v, challenge %v, stale %v, delay %v", r.Reason, r.Challenge, r.Stale, r.Delay)
	}
	return string(r.Nonce[:])
}

// replace rewrites a header by regular expression. It panics if that changes nothing.
func replace(pattern, with string) func(string) string {
	re := regexp.MustCompile(pattern)
	return func(h string) string {
		changed := re.ReplaceAllString(h, with)
		if changed == h {
			panic(fmt.Sprintf("%q does not change %q", pattern, h))
		}
		return changed
	}
}

func rewritten(pattern, with string) func(*attempt) {
	return func(a *attempt) { a.rewrite = replace(pattern, with) }
}
