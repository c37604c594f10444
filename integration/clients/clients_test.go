// Package clients runs the lines of docs/use.md's table of clients, and the files in docs/clients,
// against fleets on this machine with every way in. It needs root, for namespaces of its own.
package clients

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/squid"
)

func TestMain(m *testing.M) {
	rig.Isolate()
	// More at a time only makes each client slower.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

const (
	directory = "../../docs/clients" // where the lines are run
	requests  = 5                    // of each client, way and scheme
	aPage     = "https://example.com/"

	// patience is far more than a client takes that gets through. One that does not may never end.
	patience, shortPatience = 90 * time.Second, 20 * time.Second
)

// Every client does what the table says through each way in, while all tasks are replaced: those
// that should get through lose nothing, and the others fail.
func TestClients(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	// A load balancer's name has no second address where nothing listens, as localhost may have.
	must.OK(t, os.WriteFile(hosts, []byte("127.0.0.1 localhost\n"), 0o644))
	mount(t, hosts, "/etc/hosts")
	ca, server := makeCertificate(t, "*.example.com")
	o := startOrigin(t, server)
	trusted := [][]byte{ca}
	fleets := make([]*local.Fleet, len(ways))
	for i, w := range ways {
		fleets[i] = startFleet(t, w)
		if w.tls {
			trusted = append(trusted, readCertificate(t, fleets[i].CA))
		}
	}
	names, proxies := []string{}, []string{}
	for _, w := range ways {
		names, proxies = append(names, w.name), append(proxies, w.proxy())
	}
	// To its clients the relay is a proxy that asks for nothing.
	relayed := slices.IndexFunc(ways, func(w way) bool { return w.auth == squid.AuthNone })
	names, proxies = append(names, "relay"), append(proxies, startRelay(t, fleets[len(ways)-1]))
	home, environment := trust(t, trusted), environment(t)
	stop := replace(t, fleets)
	t.Run("table", func(t *testing.T) {
		for number, r := range table(t) {
			for i, c := range append(r.cells, r.cells[relayed]) {
				for _, scheme := range []string{"http", "https"} {
					if works[c.says] == nil {
						continue
					}
					name := strings.Join([]string{r.client, names[i], scheme}, "/")
					to := destination{o, scheme, o.open(fmt.Sprintf("client%d-way%d-%s", number, i, scheme))}
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						own := append(to.home(t, home), "PROXY="+proxies[i])
						try(t, c, to, append(own, environment...))
					})
				}
			}
		}
	})
	// A part of the table may be done before that.
	if n := stop(); n < 2 && flag.Lookup("test.run").Value.String() == "" {
		t.Errorf("the tasks were replaced %d times, want 2", n)
	}
}

// destination is the origin under the name that one run has for itself.
type destination struct {
	origin       *origin
	scheme, host string
}

// try runs a cell's line for a destination, and compares what happens with what the cell says.
func try(t *testing.T, c cell, to destination, environment []string) {
	want, limit := works[c.says][to.scheme], shortPatience
	if want {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err := get(ctx, c.line, to, environment)
	switch {
	case want && err != nil:
		t.Error(err)
	case !want && err == nil:
		t.Errorf("%s: it works, and the table says %q", c.line, c.says)
	}
}

// get returns an error unless the line fetches all it should, through the fleet alone. A line that
// ends with a page's URL gets one for each request. Other lines are run once a request.
func get(ctx context.Context, line string, to destination, environment []string) error {
	times := requests
	if before, pages := strings.CutSuffix(line, " "+aPage); pages {
		line, times = before+strings.Repeat(" "+aPage, requests), 1
	}
	line = strings.ReplaceAll(line, "https://example.com", to.scheme+"://"+to.host)
	for range times {
		command := exec.CommandContext(ctx, "sh", "-c", line)
		command.Dir, command.Env = directory, environment
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
		command.WaitDelay = time.Second
		out, err := command.CombinedOutput()
		if err == nil && times == 1 && strings.Count(string(out), page) != requests {
			err = errors.New("not every page came")
		}
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", line, err, out)
		}
	}
	if v := to.origin.visits(to.host); v.throughFleet < requests || v.direct > 0 {
		return fmt.Errorf("%s: %d requests came through the fleet, want %d, and %d past it, want 0",
			line, v.throughFleet, requests, v.direct)
	}
	return nil
}
