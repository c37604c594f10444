package image

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// getThrough makes a request inside a tunnel and leaves the answer's body to be read.
func getThrough(t *testing.T, tunnel net.Conn, path string) *http.Response {
	t.Helper()
	const request = "GET %s HTTP/1.1\r\nHost: origin.example\r\nConnection: close\r\n\r\n"
	_, err := fmt.Fprintf(tunnel, request, path)
	must.OK(t, err)
	response, err := http.ReadResponse(bufio.NewReader(tunnel), nil)
	must.OK(t, err)
	return response
}

// In both credential modes a container serves, is healthy as long as Squid answers, and logs in its
// time zone, a line of JSON a request, and none of the health check.
func TestServesHTTPAndCONNECTInBothCredentialModes(t *testing.T) {
	names := rig.StartDNS(t)
	names.Set("origin.example", "93.184.215.14")
	rig.StartOrigins(t, []int{80, 443}, nil)
	for mode, offset := range map[string]int{inSecrets: 0, inImage: 9 * 60 * 60} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, mode)
			must.OK(t, p.health())
			squid := p.squidPid()
			syscall.Kill(squid, syscall.SIGSTOP)
			err := p.health()
			syscall.Kill(squid, syscall.SIGCONT)
			if err == nil || !strings.Contains(err.Error(), "entrypoint: unhealthy: ") {
				t.Errorf("a Squid that hangs: %v", err)
			}
			if err := p.health(); err != nil {
				t.Errorf("after Squid went on: %v", err)
			}
			p.get("http://151.101.1.69/path")
			p.checkLog(p.awaitLog(`"user":"alice"`, "/path"), offset)

			const hello = "hello from 93.184.215.14\n"
			if response := p.get("http://origin.example/"); response.StatusCode != 200 || response.Text != hello {
				t.Errorf("%s: %q", response.Status, response.Text)
			}
			through := getThrough(t, p.tunnel("origin.example:443"), "/")
			if body, err := io.ReadAll(through.Body); string(body) != hello {
				t.Errorf("through a tunnel: %q, %v", body, err)
			}
		})
	}
}

// checkLog checks the line of the first request and that it is alone with that of its challenge.
func (p *proxy) checkLog(line string, offset int) {
	p.t.Helper()
	var request struct{ Time string }
	if err := json.Unmarshal([]byte(line), &request); err != nil {
		p.t.Fatalf("%v: %s", err, line)
	}
	at, err := time.Parse("2006-01-02T15:04:05.000-0700", request.Time)
	must.OK(p.t, err)
	if _, got := at.Zone(); got != offset {
		p.t.Errorf("time %s is %d seconds ahead of UTC, want %d", request.Time, got, offset)
	}
	if !strings.HasPrefix(line, `{"egress":"-",`) {
		p.t.Errorf("the line does not begin with the egress address: %s", line)
	}
	stdout, stderr := p.logs()
	if strings.Contains(stdout, "health.invalid") || strings.Count(stdout, "\n") != 2 {
		p.t.Errorf("the log holds more than the client's challenge and request:\n%s", stdout)
	}
	if !strings.Contains(stderr, "Starting Squid Cache version") {
		p.t.Errorf("Squid's own messages are not on standard error:\n%s", stderr)
	}
}
