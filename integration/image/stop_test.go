package image

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

func TestSIGTERMIdle(t *testing.T) {
	rig.StartOrigins(t, []int{80}, nil)
	p := start(t, inSecrets)
	p.get("http://151.101.1.69/")
	begun := time.Now()
	p.signal("TERM")
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// The benchmark's limit is 3 s; this is for busy machines, and still less than what Squid's own wait for an end takes.
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("%v from SIGTERM to the end", took)
	}
	if _, stderr := p.logs(); !strings.Contains(stderr, "served all connections") {
		t.Errorf("stderr:\n%s", stderr)
	}
}

// slowly answers with a line at a time.
func slowly(lines int, pause time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/slow" {
			io.WriteString(w, "quick\n")
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		for i := range lines {
			if i > 0 {
				time.Sleep(pause)
			}
			fmt.Fprintf(w, "line %d\n", i)
			w.(http.Flusher).Flush()
		}
	})
}

// transfer asks for /slow over a connection and returns once the first line is there; rest returns the number of all lines.
func transfer(t *testing.T, conn net.Conn, target string, headers ...string) (rest func() (int, error)) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 151.101.1.69\r\nConnection: close\r\n%s\r\n", target, strings.Join(headers, "")); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(response.Body)
	if line, err := body.ReadString('\n'); line != "line 0\n" {
		t.Fatalf("%s: %q, %v", response.Status, line, err)
	}
	return func() (int, error) {
		remainder, err := io.ReadAll(body)
		return 1 + strings.Count(string(remainder), "\n"), err
	}
}

func TestSIGTERMWithAShortRequest(t *testing.T) {
	origins := rig.StartOrigins(t, []int{80}, nil)
	origins.SetHandler(slowly(5, 300*time.Millisecond))
	p := start(t, inImage)
	c := p.client()
	conn, err := c.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Answer the challenge by hand, so that the answer can be read while it comes.
	if _, err := io.WriteString(conn, "GET http://151.101.1.69/slow HTTP/1.1\r\nHost: 151.101.1.69\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	challenge, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || challenge.StatusCode != 407 {
		t.Fatalf("%v, %v", challenge, err)
	}
	if _, err := io.Copy(io.Discard, challenge.Body); err != nil {
		t.Fatal(err)
	}
	authorization, err := c.Authorization(challenge, "GET", "http://151.101.1.69/slow")
	if err != nil {
		t.Fatal(err)
	}
	rest := transfer(t, conn, "http://151.101.1.69/slow", authorization+"\r\n")
	p.signal("TERM")
	if lines, err := rest(); lines != 5 || err != nil {
		t.Errorf("%d lines of 5: %v", lines, err)
	}
	conn.Close()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// The longest promise: a transfer of twenty seconds that runs when the task is told to end completes, and a client that comes meanwhile is served.
func TestSIGTERMWithALongTransfer(t *testing.T) {
	const lines = 41
	origins := rig.StartOrigins(t, []int{80, 443}, nil)
	origins.SetHandler(slowly(lines, 500*time.Millisecond))
	p := start(t, inSecrets)
	tunnel := p.tunnel("151.101.1.69:443")
	rest := transfer(t, tunnel, "/slow")
	p.signal("TERM")
	for range 3 {
		time.Sleep(3 * time.Second)
		if response := p.get("http://151.101.1.69/"); response.StatusCode != 200 || response.Text != "quick\n" {
			t.Errorf("a new client during the drain: %s %q", response.Status, response.Text)
		}
		if err := p.health(); err != nil {
			t.Errorf("health during the drain: %v", err)
		}
	}
	if n, err := rest(); n != lines || err != nil {
		t.Errorf("%d lines of %d: %v", n, lines, err)
	}
	tunnel.Close()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSIGTERMWithATunnelThatNeverEnds(t *testing.T) {
	rig.StartOrigins(t, []int{80, 443}, nil)
	for name, stop := range map[string]func(p *proxy){
		"deadline":       func(p *proxy) { p.signal("TERM") },
		"second SIGTERM": func(p *proxy) { p.signal("TERM"); time.Sleep(500 * time.Millisecond); p.signal("TERM") },
		"SIGINT":         func(p *proxy) { p.signal("INT") },
	} {
		t.Run(name, func(t *testing.T) {
			timeout := "1h"
			if name == "deadline" {
				timeout = "2s"
			}
			p := start(t, inImage, "--env="+container.EnvDrainTimeout+"="+timeout)
			tunnel := p.tunnel("151.101.1.69:443")
			stop(p)
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d, want Squid's own, 0", code)
			}
			tunnel.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := tunnel.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
				t.Errorf("the tunnel is not closed: %v", err)
			}
			stdout, stderr := p.logs()
			if !strings.Contains(stderr, "connections cut: 1\n") {
				t.Errorf("what is cut is not told:\n%s", stderr)
			}
			if !strings.Contains(stdout, `"method":"CONNECT"`) || !strings.Contains(stdout, `"status":200`) {
				t.Errorf("the tunnel is not in the log:\n%s", stdout)
			}
		})
	}
}

func TestSquidThatIsKilledEndsTheContainer(t *testing.T) {
	p := start(t, inSecrets)
	if err := syscall.Kill(p.squidPid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
}

func TestRestart(t *testing.T) {
	rig.StartOrigins(t, []int{80}, nil)
	for _, mode := range []string{inSecrets, inImage} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, mode)
			p.get("http://151.101.1.69/")
			for range 2 {
				p.run("restart")
				p.awaitListener()
				if response := p.get("http://151.101.1.69/"); response.StatusCode != 200 {
					t.Errorf("after a restart: %s", response.Status)
				}
			}
			// And after an end that nobody prepared.
			p.signal("KILL")
			p.wait()
			p.run("start")
			p.awaitListener()
			if response := p.get("http://151.101.1.69/"); response.StatusCode != 200 {
				t.Errorf("after SIGKILL: %s", response.Status)
			}
		})
	}
}

func TestWhatDoesNotStart(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "squid.conf")
	if err := os.WriteFile(conf, []byte("http_port 35201\nhttp_acess deny all\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	readOnly := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(readOnly, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		mode    string
		options []string
		code    int
		reasons []string
	}{
		{"wrong configuration", inImage, []string{"--volume=" + conf + ":/srv/squidfleet/squid.conf:ro"}, 1, []string{"squid.conf(2): unrecognized: 'http_acess'", "entrypoint: Squid refuses its configuration: exit status 1"}},
		{"nowhere to write the password file", inSecrets, []string{"--volume=" + readOnly + ":/srv/squidfleet/run:ro"}, 1, []string{"entrypoint: password file: ", "/srv/squidfleet/run must be a directory that user 10001 can write to"}},
		{"a setting that is missing and one that is misspelt", inSecrets, []string{"--env=" + container.EnvRealm + "=", "--env=SQUIDFLEET_USRES=alice"}, 2, []string{"entrypoint: SQUIDFLEET_REALM: is missing", "entrypoint: SQUIDFLEET_USRES: is not a setting"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := create(t, c.mode, c.options...)
			if code := p.wait(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			stdout, stderr := p.logs()
			for _, reason := range c.reasons {
				if !strings.Contains(stderr, reason) {
					t.Errorf("stderr does not say %q:\n%s", reason, stderr)
				}
			}
			if stdout != "" || strings.Contains(stderr, "Starting Squid") {
				t.Errorf("Squid was started:\n%s\n%s", stdout, stderr)
			}
		})
	}
}
