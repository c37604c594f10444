package image

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

// A transfer that runs at SIGTERM completes, and new clients are served meanwhile.
func TestSIGTERMWithALongTransfer(t *testing.T) {
	goOn := make(chan struct{})
	origins := rig.StartOrigins(t, []int{80, 443}, nil)
	origins.SetHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			io.WriteString(w, "begin\n")
			http.NewResponseController(w).Flush()
			<-goOn
		}
		io.WriteString(w, "end\n")
	}))
	p := start(t, inSecrets)
	tunnel := p.tunnel("151.101.1.69:443")
	response := getThrough(t, tunnel, "/slow")
	body := bufio.NewReader(response.Body)
	if line, err := body.ReadString('\n'); line != "begin\n" {
		t.Fatalf("%s: %q, %v", response.Status, line, err)
	}
	p.signal("TERM")
	time.Sleep(3 * time.Second) // The entrypoint waits for two idle seconds.
	if response := p.get("http://151.101.1.69/"); response.StatusCode != 200 || response.Text != "end\n" {
		t.Errorf("a new client during the drain: %s %q", response.Status, response.Text)
	}
	if err := p.health(); err != nil {
		t.Errorf("health during the drain: %v", err)
	}
	close(goOn)
	if rest, err := io.ReadAll(body); string(rest) != "end\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
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
			for _, unprepared := range []bool{false, true} {
				if unprepared {
					p.signal("KILL")
					p.wait()
					p.run("start")
				} else {
					p.run("restart")
				}
				p.awaitListener()
				if response := p.get("http://151.101.1.69/"); response.StatusCode != 200 {
					t.Errorf("again, unprepared %v: %s", unprepared, response.Status)
				}
			}
		})
	}
}

// Squid's own check runs in the image, and its reasons get out.
func TestAWrongConfigurationDoesNotStart(t *testing.T) {
	conf := filepath.Join(t.TempDir(), container.SquidConf)
	must.OK(t, os.WriteFile(conf, []byte("http_port 35201\nhttp_acess deny all\n"), 0o644))
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
