package digest

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

var capture = flag.Bool("capture", false, "make testdata/captures.json anew with the installed curl and Python")

// seen is a request as a real client sent it.
type seen struct {
	Client string // program
	Time   int64  // Unix seconds
	Method string
	Target string // of the request line; what Squid makes of others is in target_test.go and the integration tests
	Header string
}

const capturesFile = "testdata/captures.json"

// What real clients send is accepted as it is, and for nothing but what it was sent for.
func TestCapturesOfRealClients(t *testing.T) {
	if *capture {
		captureClients(t)
	}
	data, err := os.ReadFile(capturesFile)
	if err != nil {
		t.Fatal(err)
	}
	var captures []seen
	if err := json.Unmarshal(data, &captures); err != nil {
		t.Fatal(err)
	}
	forms := map[string]int{}
	for _, c := range captures {
		v, clock := newVerifier(t, nil)
		clock.now = time.Unix(c.Time, 0)
		local := netip.MustParseAddr("127.0.0.1")
		verify := func(client netip.Addr, method, target string) Reason {
			return v.Verify(&Request{Client: client, Method: []byte(method), Target: []byte(target), Header: []byte(c.Header)}).Reason
		}
		if got := verify(local, c.Method, c.Target); got != Accepted {
			t.Errorf("%s: %s %s: %v\n%s", c.Client, c.Method, c.Target, got, c.Header)
		}
		if got := verify(local, "PUT", c.Target); got != WrongPassword {
			t.Errorf("%s: PUT %s: %v", c.Client, c.Target, got)
		}
		if got := verify(local, c.Method, c.Target+"0"); got != TargetMismatch {
			t.Errorf("%s: %s %s0: %v", c.Client, c.Method, c.Target, got)
		}
		if got := verify(local.Next(), c.Method, c.Target); got != NonceForeign {
			t.Errorf("%s from another address: %v", c.Client, got)
		}
		clock.advance(DefaultNonceLife + 10*time.Second)
		if got := verify(local, c.Method, c.Target); got != NonceExpired {
			t.Errorf("%s, later: %v", c.Client, got)
		}
		var h header
		h.parse([]byte(c.Header))
		forms[fmt.Sprint(c.Client, " ", c.Method, " ", map[bool]string{true: "SHA-256", false: "MD5"}[len(h.response) == 64])]++
	}
	for _, want := range []string{
		"curl GET SHA-256", "curl POST SHA-256", "curl CONNECT SHA-256", "curl GET MD5", "curl CONNECT MD5", "curl HEAD SHA-256",
		"requests GET MD5",
	} {
		if forms[want] == 0 {
			t.Errorf("no capture of %s in %v", want, forms)
		}
	}
}

// captureClients lets the clients talk to a server that demands Digest as the proxy does.
func captureClients(t *testing.T) {
	var (
		mu       sync.Mutex
		captures []seen
	)
	server := func(client string, v *Verifier) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header := r.Header.Get("Proxy-Authorization")
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			result := v.Verify(&Request{
				Client: netip.MustParseAddr(host), Method: []byte(r.Method),
				Target: []byte(r.RequestURI), Header: []byte(header),
			})
			if result.Reason != Accepted {
				for _, a := range v.Offers() {
					w.Header().Add("Proxy-Authenticate", string(v.AppendChallenge(nil, a, &result)))
				}
				w.WriteHeader(http.StatusProxyAuthRequired)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			captures = append(captures, seen{client, time.Now().Unix(), r.Method, r.RequestURI, header})
		}))
		s.Start()
		t.Cleanup(s.Close)
		return s
	}
	both, _ := newVerifier(t, func(c *Config) { c.Now = time.Now })
	md5, _ := newVerifier(t, func(c *Config) {
		c.Now = time.Now
		c.Users = []User{{Name: "proxy", MD5: HA1(MD5, "proxy", testRealm, testPassword)}}
	})
	run := func(name string, args ...string) {
		t.Helper()
		// curl's own failure after CONNECT is expected: nothing speaks TLS here.
		if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil && name != "curl" {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	for _, v := range []*Verifier{both, md5} {
		s := server("curl", v)
		curl := func(args ...string) {
			run("curl", append([]string{"--noproxy", "", "-sS", "-m", "10", "-x", s.URL, "--proxy-digest", "-U", "proxy:" + testPassword}, args...)...)
		}
		curl("http://origin.example/path?q=1")
		curl("http://origin.example")
		curl("--path-as-is", "-g", "http://origin.example:8080/a%20b/[c]/%2e./{d}?e=f&g=%25h")
		curl("-d", "body=1", "http://origin.example/form")
		curl("-I", "http://origin.example/")
		curl("https://origin.example/path")
		curl("https://origin.example:8443/", "https://[2001:db8::1]/")
	}
	host, port, _ := net.SplitHostPort(server("requests", both).Listener.Addr().String())
	run("python3", "testdata/client.py", host, port, "proxy", testPassword, "GET",
		"http://origin.example/path?q=1", "http://origin.example/", "http://origin.example:8080/a%20b,c?d=%25e")
	data, err := json.MarshalIndent(captures, "", "\t")
	if err == nil {
		err = os.WriteFile(capturesFile, append(data, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
