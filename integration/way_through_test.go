package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/paste"
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

// The whole way of a password that means something to shells, curl and URLs, in both credential
// modes: it is configured, a command with it is pasted into a shell, and Squid's helper sees the
// same.
func TestPastedCommandsGetThrough(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	for _, mode := range []string{"secretsmanager", "image"} {
		o := options(map[string]any{"credentials": mode})
		o.Passwords = map[string]string{"alice": "-50%41%2541:@/\\'\"$HOME`id`!#?&;", "bob": " grüße %zz "}
		task := startTask(t, o)
		_, proxy := hop(t, insider, task)
		for user, password := range o.Passwords {
			if err := squid.CheckPassword(password); err != nil {
				t.Fatal(err)
			}
			for _, via := range []paste.Via{
				paste.Way{}.WithPassword(proxy, user, password),
				paste.Way{}.WithVariable(proxy, user, "PASSWORD"),
			} {
				command := paste.Curl(via, "http://origin.example/", "-sS", "--noproxy", "''")
				shell := exec.CommandContext(t.Context(), "sh", "-c", command)
				shell.Env = []string{"PATH=" + os.Getenv("PATH"), "PASSWORD=" + password}
				if out, err := shell.Output(); err != nil || string(out) != "0 bytes" {
					t.Errorf("%s: %s: %q, %v", mode, via, out, err)
				}
			}
		}
		task.Kill()
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
