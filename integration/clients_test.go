package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/paste"
	"squidfleet/internal/rig"
	"squidfleet/squid"
)

// echoingOrigin answers with the size of the request's body, and closes each connection, so that
// the client needs another one, for tunnels too.
func echoingOrigin(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	for name, value := range map[string]string{
		"Connection": "close", "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store",
		"Content-Type": "text/html",
	} {
		rw.Header().Set(name, value)
	}
	fmt.Fprintf(rw, "%d bytes", len(body))
}

// Clients repeat their work until every task of a fleet has been replaced. Each of them is
// challenged once, for all tasks, old and new.
func TestClientsWorkWhileTasksAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	f := startFleet(t, 3)
	l := &rig.Loader{Client: through(f.proxy)}
	var over atomic.Bool
	var clients sync.WaitGroup
	for name, work := range map[string]func() error{
		"requests": func() error { return requestsWork(t, f.proxy) },
		"Go": func() error {
			for method, target := range originOf {
				if err := l.Again(method, target); err != nil {
					return fmt.Errorf("%s: %w", method, err)
				}
				l.Conn.Close()
			}
			return nil
		},
	} {
		clients.Go(func() {
			rounds := 0
			for ; !over.Load() && !t.Failed(); rounds++ {
				if err := work(); err != nil {
					t.Errorf("%s, round %d: %v", name, rounds, err)
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("%s: %d rounds", name, rounds)
		})
	}
	defer clients.Wait()
	defer over.Store(true)
	for _, old := range slices.Clone(f.tasks) {
		f.replace(t, old)
	}
	over.Store(true)
	clients.Wait()
	if l.Challenges != 1 {
		t.Errorf("Go: %d challenges, want 1", l.Challenges)
	}
}

func requestsWork(t *testing.T, proxy string) error {
	const requests = 100
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// Debian's Python, which has the packages; another one on PATH need not.
	out, err := exec.CommandContext(ctx, "/usr/bin/python3", "testdata/requests_client.py", "http://"+proxy,
		"alice", password, "http://origin.example/", fmt.Sprint(requests)).CombinedOutput()
	if want := fmt.Sprintf("%d 1\n", requests); err != nil || string(out) != want {
		return fmt.Errorf("%q, %w; want %q: all requests, one challenge", out, err, want)
	}
	return nil
}

// A password that means something to shells, curl and URLs is configured, in both credential modes,
// and a command with it is pasted into a shell: Squid's helper sees the same.
func TestPastedCommandsGetThrough(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	for _, mode := range []string{"secretsmanager", "image"} {
		o := options(map[string]any{"credentials": mode})
		o.Passwords = map[string]string{"alice": "-50%41%2541:@/\\'\"$HOME`id`!#?&;", "bob": " grüße %zz "}
		task := startTask(t, o)
		_, proxy := hop(t, insider, task)
		for user, password := range o.Passwords {
			must.OK(t, squid.CheckPassword(password))
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
