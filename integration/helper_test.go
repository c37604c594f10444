package integration

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// hang stops a task's Digest helper until resume or the end of the test.
func hang(t *testing.T, task *squidTask) (resume func()) {
	t.Helper()
	helper := helperOf(t, squidOf(t, task))
	must.OK(t, syscall.Kill(helper, syscall.SIGSTOP))
	resume = func() { syscall.Kill(helper, syscall.SIGCONT) }
	t.Cleanup(resume)
	// On a busy machine a process may run for a moment after the signal.
	awaitState(t, helper, "T")
	return resume
}

// statusWithin reads the status of an answer, or 0 if none comes in time.
func statusWithin(t *testing.T, conn net.Conn, method string, d time.Duration) int {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(d))
	response, err := rig.Read(conn, method)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return 0
	}
	must.OK(t, err)
	return response.StatusCode
}

// roomForRequests is the number of requests that the helper may have, and that may wait for it.
var roomForRequests = regexp.MustCompile(`concurrency=\d+ queue-size=\d+`)

// While the helper hangs, nobody is let in and the health check fails. If more requests wait than
// the configuration allows, the others get a 503, and no log holds their credentials or queries.
// The waiting ones are answered when the helper goes on.
func TestAHungDigestHelperLetsNobodyInAndTurnsTheTaskUnhealthy(t *testing.T) {
	w := newWorld(t)
	const room = 4 + 4
	task := startTask(t, options(nil).and(func(conf string) string {
		small := roomForRequests.ReplaceAllString(conf, "concurrency=4 queue-size=4")
		if small == conf {
			t.Error("the configuration does not limit waiting requests")
		}
		return small
	}))
	if out, err := task.Health(); err != nil {
		t.Fatalf("healthy at first: %v\n%s", err, out)
	}
	who := anonymous(task)
	challenge := freshChallenge(t, who)
	resume := hang(t, task)
	if out, err := task.Health(); err == nil {
		t.Errorf("healthy with a hung helper: %s", out)
	}

	targets := map[string]string{"GET": "http://origin.example/?query=swordfish", "CONNECT": "origin.example:443"}
	type waiting struct {
		method, header string
		want           int
		conn           net.Conn
	}
	var all []waiting
	for i := range 6 * room / 4 {
		for method, target := range targets {
			header := answer(challenge, i+1, method, target)
			all = append(all, waiting{method, header, served, ask(t, who, method, target, header)},
				waiting{method, "X: none", 407, ask(t, who, method, target, "X: none")})
		}
	}
	var inQueue []waiting
	for _, one := range all {
		switch status := statusWithin(t, one.conn, one.method, 300*time.Millisecond); status {
		case 0:
			inQueue = append(inQueue, one)
		case http.StatusServiceUnavailable:
		default:
			t.Errorf("%s, %.20s: %d while the helper hangs", one.method, one.header, status)
		}
	}
	if n := len(inQueue); n < room/2 || n > room { // the health check's request waits, too
		t.Errorf("%d of %d requests wait, and there is room for %d", n, len(all), room)
	}
	if reached := w.origins.Reached(); len(reached) > 0 {
		t.Errorf("reached while the helper hangs: %v", reached)
	}
	resume()
	for _, one := range inQueue {
		if status := statusWithin(t, one.conn, one.method, 10*time.Second); status != one.want {
			t.Errorf("%s, %.20s: %d when the helper goes on, want %d", one.method, one.header, status, one.want)
		}
	}
	task.WaitForLog(t, `"status":503`)
	for name, log := range map[string]string{
		"Squid's messages": task.Errors(), "the access log": strings.Join(task.Log(), "\n"),
	} {
		for _, secret := range []string{"swordfish", challenge.Nonce, "response="} {
			if strings.Contains(log, secret) {
				t.Errorf("%s is in %s:\n%.2000s", secret, name, log)
			}
		}
	}
}

// ask sends a request and does not wait for its answer.
func ask(t *testing.T, who rig.Client, method, target, header string) net.Conn {
	t.Helper()
	return dial(t, who, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: origin.example\r\n%s\r\n\r\n", method, target, header))
}

// memoryOf reads a line of one of a process's files in /proc, in kB.
func memoryOf(t testing.TB, pid int, file, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	must.OK(t, err)
	for line := range strings.Lines(string(text)) {
		var kB int
		if _, err := fmt.Sscanf(line, name+": %d kB", &kB); err == nil {
			return kB
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// 10,000 requests at a time all get their own answer, although more of them are guesses than the
// helper delays. The helper stays below 20 MB.
func TestTheDigestHelperAnswersThousandsAtATimeAndStaysSmall(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(map[string]any{"memory": 1024})) // for the descriptors
	const requests, honest, guessers, guesses = 10_000, 10, 100, 20
	const target = "http://origin.example:81/page?x=1" // refused after authentication: no destination takes part
	var send []func() net.Conn
	for i := range honest + guessers {
		from := netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)})
		who := client(task).At(from)
		count := guesses
		if i < honest {
			count = (requests - guessers*guesses) / honest
		} else {
			who.Password = "a guess"
		}
		credentials, err := who.Answer(freshChallenge(t, anonymous(task).At(from)), 1, "GET", target)
		must.OK(t, err)
		send = append(send, slices.Repeat([]func() net.Conn{func() net.Conn {
			return ask(t, who, "GET", target, credentials)
		}}, count)...)
	}
	helper := helperOf(t, squidOf(t, task))
	idle := memoryOf(t, helper, "status", "VmRSS")
	resume := hang(t, task) // so that the helper gets all of them at the same time
	var conns []net.Conn
	for _, ask := range send {
		conns = append(conns, ask())
	}
	time.Sleep(2 * time.Second)                                                          // Squid reads the last of them
	must.OK(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", helper), []byte("5"), 0)) // which resets the peak
	resume()
	statuses := map[int]int{}
	for _, conn := range conns {
		statuses[statusWithin(t, conn, "GET", time.Minute)]++
	}
	peak := memoryOf(t, helper, "status", "VmHWM")
	t.Logf("%d requests: %v; the helper's memory: %d kB before, %d at its peak", len(conns), statuses, idle, peak)
	guessed := guessers * guesses
	if len(conns) != requests || statuses[refused] != requests-guessed ||
		statuses[407] < 10*guessers || statuses[407]+statuses[429] != guessed {
		t.Errorf("%d requests were answered %v", len(conns), statuses)
	}
	if peak >= 20_000 {
		t.Errorf("the helper took %d kB with %d requests at a time", peak, requests)
	}
}
