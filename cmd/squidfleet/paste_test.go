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
	"squidfleet/internal/must"
	"squidfleet/internal/operator"
	"squidfleet/params"
	"squidfleet/proxyimage/container"
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
	const page = "http://origin.example/"
	for _, password := range nastyPasswords {
		if err := squid.CheckPassword(password); err != nil {
			t.Fatalf("%q: %v", password, err)
		}
		typed := "right"
		if encoded.MatchString(password) {
			typed = "wrong-password" // What the output warns of.
		}
		for _, auth := range []squid.Auth{squid.AuthDigest, squid.AuthBasic} {
			endpoint := passwordProxy(t, auth, password)
			script := credentialsScript(endpoint, page, auth, password)
			asking := credentialsScript(endpoint, page, auth, "")
			variables := script[strings.Index(script, "export"):] + "curl --proxy-" + string(auth) + " "
			scripts := map[string]pasted{
				"credentials":    {script: script},
				"environment":    {script: variables + page},
				"PROXY":          {script: variables + `--proxy "$PROXY" ` + page},
				"asks, as TryIt": {script: asking, stdin: password + "\n", want: typed},
			}
			if auth == squid.AuthDigest {
				scripts["local"] = pasted{script: localCurl(endpoint, "secretsmanager", password)}
				scripts["local, image"] = pasted{script: localCurl(endpoint, "image", "unused"), variable: password}
			}
			for name, p := range scripts {
				p.run(t, fmt.Sprintf("%s, %s, %q", name, auth, password))
			}
		}
	}
	// Line breaks, which somebody wrote into the secret, do not end the password's comment.
	broken := credentialsScript("e.example:1", page, squid.AuthDigest, "x\necho y\r\n")
	pasted{script: strings.Replace(broken, "curl ", ": ", 1) + "printf right"}.run(t, "line breaks")
	script := credentialsScript(passwordProxy(t, squid.AuthNone, ""), page, squid.AuthNone, "")
	pasted{script: script}.run(t, "none")
	pasted{script: strings.Replace(script, "curl ", ": ", 1) + "curl " + page}.run(t, "none, environment")
}

// pasted is a script, what it is given, and what it is to print: "right" for "".
type pasted struct{ script, stdin, variable, want string }

func (p pasted) run(t *testing.T, name string) {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "sh", "-c", p.script)
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "SQUIDFLEET_PASSWORD=" + p.variable}
	shell.Stdin = strings.NewReader(p.stdin)
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Without a terminal curl asks at standard input.
	out, err := shell.Output()
	if err != nil || string(out) != cmp.Or(p.want, "right") {
		t.Errorf("%s: %q, %v\n%s", name, out, err, p.script)
	}
}

func localCurl(endpoint string, source container.Credentials, password string) string {
	fleet := &local.Fleet{Endpoint: netip.MustParseAddrPort(endpoint)}
	origin := &local.Origin{Address: netip.MustParseAddrPort("127.77.0.80:8080")}
	return welcome(fleet, origin, localPlan{options: local.Options{
		Params: &params.Params{Credentials: source}, Passwords: []squid.Credential{{User: "alice", Password: password}},
	}}).Curl
}

// credentialsScript is all that the command credentials prints for alice.
func credentialsScript(endpoint, page string, auth squid.Auth, password string) string {
	var out bytes.Buffer
	c := &operator.Credentials{Endpoint: endpoint, Scheme: "http", Auth: auth, Try: page, Source: "secretsmanager"}
	c.Users = []operator.User{c.Login("alice", password)}
	(&streams{out: &out}).credentials(c)
	return out.String()
}

// passwordProxy answers whom alice's password lets in, in one way. It returns its host and port.
func passwordProxy(t *testing.T, auth squid.Auth, password string) string {
	t.Helper()
	keys, err := digest.ParseKeys("a-key-for-tests-only-0123456789-abcdefghijklmnopqrstuvwxyz")
	must.OK(t, err)
	users := []squid.Credential{{User: "alice", Password: cmp.Or(password, "no password")}}
	file, err := squid.PasswordFile(squid.DigestFleet, "squidfleet", users)
	must.OK(t, err)
	v, err := digest.New(file, keys, auth == squid.AuthBasic)
	must.OK(t, err)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("Proxy-Authorization")
		result := v.Verify(&digest.Request{
			Client: netip.MustParseAddrPort(r.RemoteAddr).Addr(), Method: []byte(r.Method),
			Target: []byte(r.RequestURI), Header: []byte(sent),
		})
		if result.Reason == digest.Accepted || auth == squid.AuthNone && sent == "" {
			io.WriteString(w, "right")
			return
		}
		challenge := []byte(`Basic realm="squidfleet"`)
		if auth == squid.AuthDigest {
			challenge = v.AppendChallenge(nil, digest.SHA256, &result)
		}
		w.Header().Set("Proxy-Authenticate", string(challenge))
		w.WriteHeader(http.StatusProxyAuthRequired)
		io.WriteString(w, string(result.Reason))
	}))
	t.Cleanup(proxy.Close)
	return strings.TrimPrefix(proxy.URL, "http://")
}
