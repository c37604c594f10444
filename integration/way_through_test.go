package integration

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/paste"
	"squidfleet/internal/rig"
	"squidfleet/squid"
)

func curl(t *testing.T, arguments ...string) (body string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var stderr strings.Builder
	arguments = append([]string{"--silent", "--show-error", "--fail", "--noproxy", ""}, arguments...)
	command := exec.CommandContext(ctx, "curl", arguments...)
	command.Stderr = &stderr
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return string(out), err
}

// digestOptions are curl's for Digest at a proxy.
func digestOptions(proxy, user, password string) []string {
	return []string{"--proxy", "http://" + proxy, "--proxy-digest", "--proxy-user", user + ":" + password}
}

func TestClientsGetThroughInBothCredentialModes(t *testing.T) {
	names := rig.StartDNS(t)
	names.Set("origin.example", publicIPv4.String())
	origins := rig.StartOrigins(t, []int{80}, []int{443})
	for _, mode := range []string{"secretsmanager", "image"} {
		t.Run(mode, func(t *testing.T) {
			task := startTask(t, options(map[string]any{"credentials": mode}))
			_, proxy := hop(t, insider, task)
			want := "hello from " + publicIPv4.String() + "\n"

			t.Run("curl", func(t *testing.T) {
				for _, url := range []string{"http://origin.example/", "https://origin.example/"} {
					body, err := curl(t, append(digestOptions(proxy, "alice", password), "--insecure", url)...)
					if err != nil || body != want {
						t.Errorf("%s: %q, %v", url, body, err)
					}
				}
				bob := append(digestOptions(proxy, "bob", "another password"), "http://origin.example/")
				if _, err := curl(t, bob...); err != nil {
					t.Errorf("the second user: %v", err)
				}
			})
			t.Run("Go", func(t *testing.T) {
				c := client(task)
				response, err := c.Request("GET", "http://origin.example/")
				if err != nil || response.StatusCode != 200 || response.Text != want || !response.Challenged {
					t.Errorf("%+v, %v", response, err)
				}
				tunnel, refusal, err := c.Tunnel("origin.example:443")
				if err != nil || tunnel == nil {
					t.Fatalf("no tunnel: %+v, %v", refusal, err)
				}
				defer tunnel.Close()
				secure := &http.Client{Transport: &http.Transport{
					DialContext:     func(context.Context, string, string) (net.Conn, error) { return tunnel, nil },
					TLSClientConfig: &tls.Config{RootCAs: origins.Roots, ServerName: "example.com"},
				}}
				over, err := secure.Get("https://origin.example/")
				if err != nil {
					t.Fatal(err)
				}
				defer over.Body.Close()
				if body, err := io.ReadAll(over.Body); err != nil || string(body) != want {
					t.Errorf("through the tunnel: %q, %v", body, err)
				}
			})
		})
	}
}

func TestWhoIsRefused(t *testing.T) {
	inBothModes(t, whoIsRefused)
}

func whoIsRefused(t *testing.T, mode map[string]any) {
	names := rig.StartDNS(t)
	names.Set("origin.example", publicIPv4.String())
	origins := rig.StartOrigins(t, []int{80}, []int{443})
	task := startTask(t, options(mode))
	good := client(task)

	const cutOff = 0 // no answer at all
	cases := []struct {
		name   string
		change func(c *rig.Client)
		status int
	}{
		{"wrong password", func(c *rig.Client) { c.Password = "wrong password" }, 407},
		{"unknown user", func(c *rig.Client) { c.User = "mallory" }, 407},
		{"another user's password", func(c *rig.Client) { c.User = "bob" }, 407},
		{"no credentials", func(c *rig.Client) { c.User = "" }, 407},
		{"no PROXY header", func(c *rig.Client) { c.Header = nil }, cutOff},
		{"health check (LOCAL)", func(c *rig.Client) { c.Header = rig.LocalHeader() }, cutOff},
		{"address outside clientCidrs", func(c *rig.Client) { c.Header = rig.ProxyHeader(outsider) }, cutOff},
		{"PROXY header from the VPC, not the load balancer", func(c *rig.Client) { c.From = neighbour }, cutOff},
		{"PROXY header from an allowed client itself", func(c *rig.Client) { c.From = insider }, cutOff},
		{"PROXY header from the task itself", func(c *rig.Client) { c.From = good.Task.Addr() }, cutOff},
	}
	for _, method := range []string{"GET", "CONNECT"} {
		target := map[string]string{"GET": "http://origin.example/", "CONNECT": "origin.example:443"}[method]
		for _, c := range cases {
			t.Run(method+"/"+c.name, func(t *testing.T) {
				origins.Forget()
				refused := good
				c.change(&refused)
				response, err := refused.Request(method, target)
				switch {
				case c.status == cutOff && err == nil:
					t.Errorf("answered with %d instead of being cut off", response.StatusCode)
				case c.status != cutOff && err != nil:
					t.Error(err)
				case c.status != cutOff && response.StatusCode != c.status:
					t.Errorf("status %d, want %d", response.StatusCode, c.status)
				}
				if reached := origins.Reached(); len(reached) > 0 {
					t.Errorf("a destination was reached: %v", reached)
				}
			})
		}
		response, err := good.Request(method, target)
		if err != nil || response.StatusCode != 200 {
			t.Errorf("%s by the allowed client: %+v, %v", method, response, err)
		}
	}
}

func TestEachRequestIsOneJSONObjectOnStandardOutput(t *testing.T) {
	names := rig.StartDNS(t)
	names.Set("origin.example", publicIPv4.String())
	rig.StartOrigins(t, []int{80}, []int{443})
	task := startTask(t, options(map[string]any{"timezone": "Asia/Tokyo"}))
	c := client(task)
	if _, err := c.Request("GET", "http://origin.example/path?secret=query", "User-Agent: test/1"); err != nil {
		t.Fatal(err)
	}
	served := func(line string) bool { return strings.Contains(line, `"status":200`) }
	text := task.WaitForLog(t, "the request's", served)
	var entry struct {
		Time, Client, User, Method, URL, Result, UserAgent string // a few of the members
		Status, BytesFromClient, BytesToClient             int
	}
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if entry.Client != insider.String() || entry.User != "alice" || entry.Method != "GET" ||
		entry.URL != "http://origin.example/path?" || entry.UserAgent != "test/1" ||
		entry.BytesFromClient == 0 || entry.BytesToClient == 0 {
		t.Errorf("%s", text)
	}
	at, err := time.Parse("2006-01-02T15:04:05.000-0700", entry.Time)
	if _, offset := at.Zone(); err != nil || offset != 9*60*60 {
		t.Errorf("time %q is not in Tokyo's zone: %v", entry.Time, err)
	}
	if strings.Contains(text, "secret") {
		t.Errorf("the query is in the log: %s", text)
	}
}

func TestPasswordsStayOutOfSquidsEnvironmentAndOfOthersSight(t *testing.T) {
	task := startTask(t, options(nil))
	children, err := task.Children("squid")
	if err != nil || len(children) != 1 {
		t.Fatalf("%d Squids: %v", len(children), err)
	}
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", children[0]))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(environment), password) || strings.Contains(string(environment), "SQUIDFLEET_PASSWORD") {
		t.Error("a password is in Squid's environment")
	}
	info, err := os.Stat(filepath.Join(task.Dir, "run", "passwords"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the password file: %v, %v", info, err)
	}
}

// .NET signs every CONNECT with "/". Such a header, once captured, would open tunnels to any host
// from the same client address, so that it is refused as one for another target.
func TestCONNECTSignedWithASlashIsRefused(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(nil))
	c := client(task)
	for uri, want := range map[string]int{"/": 407, "origin.example:443": 200} {
		c.URI = uri
		if response, err := c.Request("CONNECT", "origin.example:443"); err != nil || response.StatusCode != want {
			t.Errorf("uri=%q: %+v, %v, want %d", uri, response, err, want)
		}
	}
	told := func(line string) bool { return strings.Contains(line, `"auth":"target-mismatch"`) }
	task.WaitForLog(t, "the reason", told)
}

// The whole way of a password that means something to shells, curl and URLs: it is configured, a
// command with it is pasted into a shell, and Squid's helper sees the same.
func TestPastedCommandsGetThrough(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	o := options(nil)
	o.Passwords = map[string]string{"alice": "-50%41%2541:@/\\'\"$HOME`id`!#?&;", "bob": " grüße %zz "}
	_, proxy := hop(t, insider, startTask(t, o))
	for user, password := range o.Passwords {
		if err := squid.CheckPassword(password); err != nil {
			t.Fatal(err)
		}
		for _, via := range []paste.Via{
			paste.WithPassword(proxy, user, password), paste.WithVariable(proxy, user, "PASSWORD"),
		} {
			command := paste.Curl(via, "http://origin.example/", "-sS", "--noproxy", "''")
			shell := exec.CommandContext(t.Context(), "sh", "-c", command)
			shell.Env = []string{"PATH=" + os.Getenv("PATH"), "PASSWORD=" + password}
			if out, err := shell.Output(); err != nil || string(out) != "0 bytes" {
				t.Errorf("%s: %q, %v", via, out, err)
			}
		}
	}
}

// digestHop serves clients without Digest: it takes requests without a password and sends them on
// as alice.
func digestHop(t *testing.T, proxy string) *url.URL {
	t.Helper()
	hop := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			response, err := through(proxy).Request(r.Method, r.URL.String())
			if err != nil {
				rw.WriteHeader(http.StatusBadGateway)
				return
			}
			rw.WriteHeader(response.StatusCode)
			io.WriteString(rw, response.Text)
			return
		}
		tunnel, refusal, err := through(proxy).Tunnel(r.Host)
		if err != nil || tunnel == nil {
			t.Errorf("no tunnel: %+v, %v", refusal, err)
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		defer tunnel.Close()
		client, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(tunnel, client)
		io.Copy(client, tunnel)
	}))
	t.Cleanup(hop.Close)
	address, err := url.Parse(hop.URL)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func TestAClientWithoutDigestGetsThroughWithAHop(t *testing.T) {
	w := newWorld(t)
	_, proxy := hop(t, insider, startTask(t, options(nil)))
	secure := &tls.Config{RootCAs: w.origins.Roots, ServerName: "example.com"}
	for _, test := range []struct {
		proxy *url.URL
		want  int
	}{{digestHop(t, proxy), 200}, {&url.URL{Scheme: "http", Host: proxy}, 407}} {
		client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(test.proxy), TLSClientConfig: secure}}
		response, err := client.Get("http://origin.example/")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("by %v: %d, want %d", test.proxy, response.StatusCode, test.want)
		}
		response, err = client.Get("https://origin.example/")
		if got := err == nil; got != (test.want == 200) {
			t.Errorf("https by %v: %v, %v", test.proxy, response, err)
		}
		if err == nil {
			response.Body.Close()
		}
	}
}
