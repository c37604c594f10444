package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"squidfleet/digest"
	"squidfleet/internal/local"
	"squidfleet/internal/operator"
	"squidfleet/squid"
)

// nastyPasswords are allowed, and mean something to a shell, to curl or in a URL.
var nastyPasswords = []string{
	"plain-password", "-leading-dash", " spaces at both ends ", `it's "quoted"`, "$HOME ${PATH} $(id) `id`",
	"50%41%2541%",
	"one 100%", "%%%%%%%%%", "a:b@c/d?e#f&g;h=i", `back\slash\`, "!history!!", "*?[a]{b,c}~", "~user|<>()",
	"grüße-日本-🦑", "+plus+and+more", "''''''''", "\u00a0nbsp\u00a0",
}

// encoded is what curl decodes in a password that is typed.
var encoded = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// Each command and URL that a person is given takes each password to the proxy as it is, through a
// real shell and a real curl.
func TestWhatIsPastedTakesThePasswordAsItIs(t *testing.T) {
	for _, password := range nastyPasswords {
		if err := squid.CheckPassword(password); err != nil {
			t.Fatalf("%q: %v", password, err)
		}
		endpoint, page := digestProxy(t, password), "http://origin.example/"
		proxied := &operator.Credentials{Endpoint: endpoint, Try: page, Source: "secretsmanager"}
		image := localUser{name: "alice", variable: "PW"}
		script, typed := credentialsScript(proxied, password), "right"
		if encoded.MatchString(password) {
			typed = "wrong-password" // What the output warns of.
		}
		for name, c := range map[string]struct{ script, stdin, variable, want string }{
			"local":          {script: localCurl(endpoint, localUser{name: "alice", password: password})},
			"local, image":   {script: localCurl(endpoint, image), variable: password},
			"credentials":    {script: script},
			"environment":    {script: strings.Replace(script, "curl ", ": ", 1) + "curl --proxy-digest " + page},
			"asks, as TryIt": {script: credentialsScript(proxied, ""), stdin: password + "\n", want: typed},
		} {
			shell := exec.CommandContext(t.Context(), "sh", "-c", c.script)
			shell.Env = []string{"PATH=" + os.Getenv("PATH"), "PW=" + c.variable}
			shell.Stdin = strings.NewReader(c.stdin)
			shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Without a terminal curl asks at standard input.
			out, err := shell.Output()
			if err != nil || string(out) != cmp.Or(c.want, "right") {
				t.Errorf("%s, %q: %q, %v\n%s", name, password, out, err, c.script)
			}
		}
	}
}

func localCurl(endpoint string, u localUser) string {
	fleet := &local.Fleet{Endpoint: netip.MustParseAddrPort(endpoint)}
	origin := &local.Origin{Address: netip.MustParseAddrPort("127.77.0.80:8080")}
	return welcome(fleet, origin, localPlan{users: []localUser{u}}).Curl
}

// credentialsScript is all that the command credentials prints for alice.
func credentialsScript(c *operator.Credentials, password string) string {
	var out bytes.Buffer
	shown := *c
	shown.Users = []operator.User{shown.Login("alice", password)}
	(&streams{out: &out}).credentials(&shown)
	return out.String()
}

// digestProxy answers whom alice's password lets in. It returns its host and port.
func digestProxy(t *testing.T, password string) string {
	t.Helper()
	keys, err := digest.ParseKeys("a-key-for-tests-only-0123456789-abcdefghijklmnopqrstuvwxyz")
	if err != nil {
		t.Fatal(err)
	}
	users := []digest.User{{Name: "alice", Password: password}}
	v, err := digest.New(digest.Config{Realm: "squidfleet", Users: users, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result := v.Verify(&digest.Request{
			Client: netip.MustParseAddrPort(r.RemoteAddr).Addr(), Method: []byte(r.Method),
			Target: []byte(r.RequestURI), Header: []byte(r.Header.Get("Proxy-Authorization")),
		})
		if result.Reason == digest.Accepted {
			io.WriteString(w, "right")
			return
		}
		w.Header().Set("Proxy-Authenticate", string(v.AppendChallenge(nil, digest.SHA256, &result)))
		w.WriteHeader(http.StatusProxyAuthRequired)
		fmt.Fprint(w, result.Reason)
	}))
	t.Cleanup(proxy.Close)
	return strings.TrimPrefix(proxy.URL, "http://")
}
