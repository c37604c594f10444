package image

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

// getThrough makes a request inside a tunnel and returns its body.
func getThrough(t *testing.T, tunnel net.Conn, path string) string {
	t.Helper()
	if _, err := fmt.Fprintf(tunnel, "GET %s HTTP/1.1\r\nHost: origin.example\r\nConnection: close\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(tunnel), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestServesHTTPAndCONNECTInBothCredentialModes(t *testing.T) {
	names := rig.StartDNS(t)
	names.Set("origin.example", "93.184.215.14")
	rig.StartOrigins(t, []int{80, 443}, nil)
	for _, mode := range []string{inSecrets, inImage} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, mode)
			if response := p.get("http://origin.example/"); response.StatusCode != 200 || response.Text != "hello from 93.184.215.14\n" {
				t.Errorf("%s: %q", response.Status, response.Text)
			}
			if body := getThrough(t, p.tunnel("origin.example:443"), "/"); body != "hello from 93.184.215.14\n" {
				t.Errorf("through a tunnel: %q", body)
			}
			bob := p.client()
			bob.User, bob.Password = "bob", passwords["bob"]
			if response, err := bob.Request("GET", "http://151.101.1.69/"); err != nil || response.StatusCode != 200 {
				t.Errorf("the second user: %v, %v", response, err)
			}
			bob.Password = passwords["alice"]
			if response, err := bob.Request("GET", "http://151.101.1.69/"); err != nil || response.StatusCode != 407 {
				t.Errorf("a wrong password: %v, %v", response, err)
			}
			if response := p.get("http://169.254.170.2/"); response.StatusCode != 403 {
				t.Errorf("the credentials endpoint: %s", response.Status)
			}
		})
	}
}

func TestLogOfAContainer(t *testing.T) {
	rig.StartOrigins(t, []int{80}, nil)
	for mode, offset := range map[string]int{inSecrets: 0, inImage: 9 * 60 * 60} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, mode)
			p.get("http://151.101.1.69/path")
			line := p.awaitLog(`"user":"alice"`, "/path")
			var entry struct{ Egress, Time, URL string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			at, err := time.Parse("2006-01-02T15:04:05.000-0700", entry.Time)
			if err != nil {
				t.Fatal(err)
			}
			if _, got := at.Zone(); got != offset {
				t.Errorf("time %s is %d seconds ahead of UTC, want %d", entry.Time, got, offset)
			}
			if !strings.HasPrefix(line, `{"egress":"-",`) {
				t.Errorf("the line does not begin with the egress address: %s", line)
			}
			stdout, stderr := p.logs()
			for line := range strings.Lines(stdout) {
				if !json.Valid([]byte(line)) {
					t.Errorf("not JSON on standard output: %q", line)
				}
			}
			if !strings.Contains(stderr, "Starting Squid Cache version") {
				t.Errorf("Squid's own messages are not on standard error:\n%s", stderr)
			}
		})
	}
}

func TestEgressAddressInTheLog(t *testing.T) {
	origins := rig.StartOrigins(t, []int{80}, nil)
	answer := make(chan struct{})
	origins.SetHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ip" {
			<-answer
			io.WriteString(w, "151.101.1.9\n")
		}
	}))
	p := start(t, inImage, "--env="+container.EnvEgressURL+"=http://93.184.215.14/ip")
	// Squid serves while nobody answers.
	p.get("http://151.101.1.69/before")
	p.awaitLog(`{"egress":"-",`, "/before")
	close(answer)
	for range 100 {
		p.get("http://151.101.1.69/after")
		if stdout, _ := p.logs(); strings.Contains(stdout, `{"egress":"151.101.1.9",`) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("no line has the address")
}

func TestHealthCheck(t *testing.T) {
	origins := rig.StartOrigins(t, []int{80, 443}, nil)
	for _, mode := range []string{inSecrets, inImage} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, mode)
			if err := p.health(); err != nil {
				t.Fatal(err)
			}
			hanging := map[string][]int{"Squid": {p.squidPid()}}
			if mode == inSecrets {
				// Our own verifier, which Squid waits for without an end.
				hanging["helper"] = slices.DeleteFunc(p.processes()["entrypoint"], func(pid int) bool { return pid == p.mainPid() })
			}
			for what, pids := range hanging {
				if len(pids) == 0 {
					t.Errorf("no %s is running", what)
				}
				for _, pid := range pids {
					syscall.Kill(pid, syscall.SIGSTOP)
				}
				err := p.health()
				for _, pid := range pids {
					syscall.Kill(pid, syscall.SIGCONT)
				}
				if err == nil || !strings.Contains(err.Error(), "entrypoint: unhealthy: ") {
					t.Errorf("a %s that hangs: %v", what, err)
				}
				if err := p.health(); err != nil {
					t.Errorf("after the %s went on: %v", what, err)
				}
			}
			p.get("http://151.101.1.69/last")
			p.awaitLog("/last")
			if stdout, _ := p.logs(); strings.Contains(stdout, "health.invalid") || strings.Count(stdout, "\n") != 2 {
				t.Errorf("the log holds more than the client's challenge and request:\n%s", stdout)
			}
		})
	}
	for address := range origins.Reached() {
		if address.Addr().String() != "151.101.1.69" {
			t.Errorf("the health check reached %s", address)
		}
	}
}

func TestHealthPortOpensNothing(t *testing.T) {
	origins := rig.StartOrigins(t, []int{80, 443}, nil)
	p := start(t, inImage)
	health := p.client()
	health.Task = netip.AddrPortFrom(p.addr.Addr(), p.addr.Port()+1)
	health.From = health.Task.Addr()
	for _, c := range []struct{ method, target string }{{"GET", "http://151.101.1.69/"}, {"CONNECT", "151.101.1.69:443"}, {"GET", "http://health.invalid/"}} {
		response, err := health.Request(c.method, c.target)
		if err != nil || response.StatusCode != 403 || !response.Challenged {
			t.Errorf("%s %s with good credentials: %v, %v; want 407, then 403", c.method, c.target, response, err)
		}
	}
	fromElsewhere := health
	fromElsewhere.From = netip.MustParseAddr("10.0.200.9")
	if response, err := fromElsewhere.Request("GET", "http://151.101.1.69/"); err == nil {
		t.Errorf("a PROXY header from elsewhere: %s", response.Status)
	}
	outside := health
	outside.Task = netip.AddrPortFrom(loadBalancer, p.addr.Port()+1)
	if response, err := outside.Request("GET", "http://151.101.1.69/"); err == nil {
		t.Errorf("the port answers at another address: %s", response.Status)
	}
	if reached := origins.Reached(); len(reached) > 0 {
		t.Errorf("reached %v", reached)
	}
}
