package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"

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

// Real clients repeat their work until every task of a fleet has been replaced. Each of them is
// challenged once, for all tasks, old and new.
func TestClientsWorkWhileTasksAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	f := startFleet(t, 3)
	ctx, asked := startChromium(t, f.proxy)
	l, fetched := &rig.Loader{Client: through(f.proxy)}, 0
	var over atomic.Bool
	var clients sync.WaitGroup
	defer clients.Wait()
	defer over.Store(true)
	for name, work := range map[string]func() error{
		"requests": func() error { return requestsWork(t, f.proxy) },
		"Go": func() error {
			return errors.Join(again(l, "GET", originOf["GET"]), again(l, "CONNECT", originOf["CONNECT"]))
		},
		"Chromium": func() error {
			good, err := chromiumWork(ctx)
			fetched += good
			return err
		},
	} {
		clients.Go(func() {
			rounds := 0
			for ; !over.Load(); rounds++ {
				if err := work(); err != nil {
					t.Errorf("%s, round %d: %v", name, rounds, err)
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("%s: %d rounds", name, rounds)
		})
	}
	for _, old := range slices.Clone(f.tasks) {
		f.replace(t, old)
	}
	over.Store(true)
	clients.Wait()
	if l.Challenges != 1 {
		t.Errorf("Go: %d challenges, want 1", l.Challenges)
	}
	if n := asked.Load(); n != 1 || fetched < 100 {
		t.Errorf("Chromium asked its user %d times in %d fetches, want once in at least 100", n, fetched)
	}
	// Some of Chromium's first connections are challenged before the first answer is in.
	challenged := 0
	for _, task := range f.tasks {
		for _, line := range task.Log() {
			if strings.Contains(line, `"status":407,`) && strings.Contains(line, "Chrome") {
				challenged++
			}
		}
	}
	if challenged == 0 || challenged > 10 {
		t.Errorf("Chromium: %d challenges in %d fetches", challenged, fetched)
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

// chromiumWork fetches ten URLs at a time, each with a query of its own: otherwise fetches of the
// same URL are joined.
func chromiumWork(ctx context.Context) (good int, err error) {
	const script = `(async () => {
		const scheme = i => i % 2 ? "https" : "http";
		const urls = [...Array(10).keys()].map(i => scheme(i) + "://origin.example/?" + Math.random());
		const answers = await Promise.all(urls.map(url => fetch(url).then(r => r.text())));
		return answers.filter(text => text === "0 bytes").length;
	})()`
	good, err = chromedp.Run(ctx, chromedp.Evaluate[int](script, chromedp.EvalAwaitPromise))
	if err != nil || good != 10 {
		return good, fmt.Errorf("%d of 10 fetches: %w", good, err)
	}
	return good, nil
}

// startChromium starts one behind the proxy. It asks its user, who answers it once and gives up
// when asked again; asked counts.
func startChromium(t *testing.T, proxy string) (ctx context.Context, asked *atomic.Int64) {
	t.Helper()
	profile, err := os.MkdirTemp("", "squidfleet-chromium-")
	must.OK(t, err)
	t.Cleanup(func() { os.RemoveAll(profile) })
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(rig.Chromium(t)), chromedp.UserDataDir(filepath.Join(profile, "profile")),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors, chromedp.ProxyServer("http://"+proxy),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true))...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(allocator)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(stop)
	asked = new(atomic.Int64)
	call := func(err error) {
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	err = chromedp.Listen(ctx, func(event any) {
		switch event := event.(type) {
		case *fetch.EventAuthRequired:
			answer := &fetch.AuthChallengeResponse{
				Response: fetch.AuthChallengeResponseResponseProvideCredentials, Username: "alice", Password: password,
			}
			if asked.Add(1) > 1 {
				answer = &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseCancelAuth}
			}
			go func() {
				_, err := chromedp.Call(ctx, fetch.ContinueWithAuth,
					fetch.ContinueWithAuthParams{RequestID: event.RequestID, AuthChallengeResponse: answer})
				call(err)
			}()
		case *fetch.EventRequestPaused:
			go func() {
				params := fetch.ContinueRequestParams{RequestID: event.RequestID}
				_, err := chromedp.Call(ctx, fetch.ContinueRequest, params)
				call(err)
			}()
		}
	})
	must.OK(t, err)
	handle := true
	_, err = chromedp.Call(ctx, fetch.Enable, fetch.EnableParams{HandleAuthRequests: &handle})
	must.OK(t, err)
	must.OK(t, chromedp.Do(ctx, chromedp.Navigate("http://origin.example/")))
	return ctx, asked
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
