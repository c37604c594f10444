package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
)

// replacements is how many tasks of three are replaced while a client works: all of them.
const replacements = 3

// whileTasksAreReplaced repeats a client's work until every task of a fleet has been replaced. It
// fails where the work does.
func whileTasksAreReplaced(t *testing.T, f *fleet, work func() error) {
	t.Helper()
	var over atomic.Bool
	failed := make(chan error, 1)
	rounds := 0
	go func() {
		var err error
		for ; err == nil && !over.Load(); rounds++ {
			err = work()
		}
		failed <- err
	}()
	for range replacements {
		f.replace(t)
	}
	over.Store(true)
	if err := <-failed; err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds while %d tasks were replaced", rounds, replacements)
}

// echoingOrigin answers with the size of the request's body, and closes each connection, so that
// the client needs another one, for tunnels too.
func echoingOrigin(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	rw.Header().Set("Connection", "close")
	rw.Header().Set("Access-Control-Allow-Origin", "*")
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(rw, "%d bytes", len(body))
}

func TestCurlWorksWhileTasksAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	f := startFleet(t, "fleet", 3)
	proxy := append(digestOptions(f.proxy, "alice", password), "--insecure")
	whileTasksAreReplaced(t, f, func() error {
		for _, c := range []struct {
			arguments []string
			want      string
		}{
			{[]string{"http://origin.example/"}, "0 bytes"},
			{[]string{"--data-binary", strings.Repeat("x", 50_000), "http://origin.example/"}, "50000 bytes"},
			{[]string{"https://origin.example/"}, "0 bytes"},
			{[]string{"http://origin.example/1", "http://origin.example/2"}, "0 bytes0 bytes"},
			{[]string{"--http1.0", "--header", "Connection: close", "http://origin.example/"}, "0 bytes"},
		} {
			if body, err := curl(t, append(proxy, c.arguments...)...); err != nil || body != c.want {
				return fmt.Errorf("curl %.100q: %q, %w", c.arguments, body, err)
			}
		}
		return nil
	})
}

func TestAGoClientWorksWhileTasksAreReplaced(t *testing.T) {
	newWorld(t)
	f := startFleet(t, "fleet", 3)
	s := &session{client: through(f.proxy)}
	whileTasksAreReplaced(t, f, func() error {
		for _, r := range [][3]string{
			{"GET", "http://origin.example/", "/"},
			{"CONNECT", "origin.example:443", "origin.example:443"},
		} {
			if status, err := s.send(r[0], r[1], r[2]); err != nil || status != served {
				return fmt.Errorf("%s: %d, %w", r[0], status, err)
			}
		}
		return nil
	})
	if n := s.challenges.Load(); n != 1 {
		t.Errorf("%d challenges, want 1 for all tasks, old and new", n)
	}
}

func TestPythonRequestsWorkWhileTasksAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	f := startFleet(t, "fleet", 3)
	whileTasksAreReplaced(t, f, func() error {
		const requests = 100
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		// Debian's Python, which has the packages; another one on PATH need not.
		out, err := exec.CommandContext(ctx, "/usr/bin/python3", "testdata/requests_client.py", "http://"+f.proxy,
			"alice", password, "http://origin.example/", fmt.Sprint(requests)).CombinedOutput()
		if want := fmt.Sprintf("%d 1\n", requests); err != nil || string(out) != want {
			return fmt.Errorf("%q, %w; want %q: all requests, one challenge", out, err, want)
		}
		return nil
	})
}

// browser is a Chromium, under one of the names it goes by.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"google-chrome", "chromium", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium: scripts/setup.sh chromium")
	return ""
}

// startChromium starts one behind the proxy. It asks its user, who answers it once and gives up
// when asked again; asked counts.
func startChromium(t *testing.T, proxy string) (ctx context.Context, asked *atomic.Int64) {
	t.Helper()
	profile, err := os.MkdirTemp("", "squidfleet-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser(t)), chromedp.UserDataDir(filepath.Join(profile, "profile")),
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
	if err != nil {
		t.Fatal(err)
	}
	handle := true
	if _, err := chromedp.Call(ctx, fetch.Enable, fetch.EnableParams{HandleAuthRequests: &handle}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate("http://origin.example/")); err != nil {
		t.Fatal(err)
	}
	return ctx, asked
}

// Chromium asks its user for the credentials once, and goes on with them on every task, old and
// new, for plain requests and for tunnels.
func TestChromiumAsksOnceWhileTasksAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	f := startFleet(t, "fleet", 3)
	ctx, asked := startChromium(t, f.proxy)
	fetched := 0
	whileTasksAreReplaced(t, f, func() error {
		// A query of its own keeps each fetch from being joined with another.
		const script = `(async () => {
			const scheme = i => i % 2 ? "https" : "http";
			const urls = [...Array(10).keys()].map(i => scheme(i) + "://origin.example/?" + Math.random());
			const answers = await Promise.all(urls.map(url => fetch(url).then(r => r.text())));
			return answers.filter(text => text === "0 bytes").length;
		})()`
		good, err := chromedp.Run(ctx, chromedp.Evaluate[int](script, chromedp.EvalAwaitPromise))
		if err != nil || good != 10 {
			return fmt.Errorf("%d of 10 fetches, after %d that went well: %w", good, fetched, err)
		}
		fetched += good
		time.Sleep(20 * time.Millisecond)
		return nil
	})
	if fetched < 100 {
		t.Errorf("only %d fetches", fetched)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("Chromium asked its user %d times, want once", n)
	}
	// Some connections of the first moments are challenged before the first answer is in.
	if n := f.challenged(); n > 10 {
		t.Errorf("%d challenges in %d fetches", n, fetched)
	} else {
		t.Logf("%d fetches, %d challenges", fetched, n)
	}
}
