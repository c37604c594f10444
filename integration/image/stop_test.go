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
	// The benchmark's limit is 3 s. This one is for busy machines, and less than Squid's own
	// shutdown takes.
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("%v from SIGTERM to the end", took)
	}
	if _, stderr := p.logs(); !strings.Contains(stderr, "served all connections") {
		t.Errorf("stderr:\n%s", stderr)
	}
}

// slowly answers /slow with one line at a time.
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

// transfer asks for /slow in a tunnel and returns once the first line has come. rest returns the
// number of all lines.
func transfer(t *testing.T, tunnel net.Conn) (rest func() (int, error)) {
	t.Helper()
	response := getThrough(t, tunnel, "/slow")
	body := bufio.NewReader(response.Body)
	if line, err := body.ReadString('\n'); line != "line 0\n" {
		t.Fatalf("%s: %q, %v", response.Status, line, err)
	}
	return func() (int, error) {
		remainder, err := io.ReadAll(body)
		return 1 + strings.Count(string(remainder), "\n"), err
	}
}

// A transfer of twenty seconds that runs at SIGTERM completes, and new clients are served
// meanwhile.
func TestSIGTERMWithALongTransfer(t *testing.T) {
	const lines = 41
	origins := rig.StartOrigins(t, []int{80, 443}, nil)
	origins.SetHandler(slowly(lines, 500*time.Millisecond))
	p := start(t, inSecrets)
	tunnel := p.tunnel("151.101.1.69:443")
	rest := transfer(t, tunnel)
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
	rig.StartOrigins(t, []int{443}, nil)
	p := start(t, inImage, "--env="+container.EnvDrainTimeout+"=2s")
	tunnel := p.tunnel("151.101.1.69:443")
	p.signal("TERM")
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d, want Squid's own, 0", code)
	}
	tunnel.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := tunnel.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the tunnel is not closed: %v", err)
	}
	stdout, stderr := p.logs()
	if !strings.Contains(stderr, "connections cut: 1\n") {
		t.Errorf("stderr does not say what was cut:\n%s", stderr)
	}
	if !strings.Contains(stdout, `"method":"CONNECT"`) || !strings.Contains(stdout, `"status":200`) {
		t.Errorf("the tunnel is not in the log:\n%s", stdout)
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
			// And after an unprepared end.
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

// Squid's own check runs in the image, and its reasons get out.
func TestAWrongConfigurationDoesNotStart(t *testing.T) {
	conf := filepath.Join(t.TempDir(), container.SquidConf)
	if err := os.WriteFile(conf, []byte("http_port 35201\nhttp_acess deny all\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := create(t, inImage, "--volume="+conf+":"+container.Dir+"/"+container.SquidConf+":ro")
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	stdout, stderr := p.logs()
	if !strings.Contains(stderr, "squid.conf(2): unrecognized: 'http_acess'") {
		t.Errorf("stderr does not say what is wrong:\n%s", stderr)
	}
	if stdout != "" || strings.Contains(stderr, "Starting Squid") {
		t.Errorf("Squid was started:\n%s\n%s", stdout, stderr)
	}
}
