package integration

import (
	"bufio"
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

// ask sends a request and does not wait for its answer.
func ask(t *testing.T, who rig.Client, method, target, header string) net.Conn {
	t.Helper()
	return dial(t, who, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: origin.example\r\n%s\r\n\r\n", method, target, header))
}

// statusWithin reads the status of an answer, or 0 if none comes in time.
func statusWithin(t *testing.T, conn net.Conn, method string, d time.Duration) int {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(d))
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return 0
	}
	if err != nil {
		t.Error(err)
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// While the helper hangs, nobody is let in and the health check fails. Waiting requests are
// answered when it goes on.
func TestAHungDigestHelperLetsNobodyInAndTurnsTheTaskUnhealthy(t *testing.T) {
	w := newWorld(t)
	task := startTask(t, options(nil))
	if out, err := task.Health(); err != nil {
		t.Fatalf("healthy at first: %v\n%s", err, out)
	}
	nobody := anonymous(task)
	nonce := freshNonce(t, nobody)
	resume := hang(t, task)

	requests := []struct {
		method, target, header string
		want                   int
		conn                   net.Conn
	}{
		{"GET", "http://origin.example/", answer(nonce, "00000001", "GET", "/"), served, nil},
		{"CONNECT", "origin.example:443", answer(nonce, "00000002", "CONNECT", "origin.example:443"), served, nil},
		{"GET", "http://origin.example/", "X-Credentials: none", 407, nil},
		{"CONNECT", "origin.example:443", "X-Credentials: none", 407, nil},
	}
	for i, r := range requests {
		requests[i].conn = ask(t, nobody, r.method, r.target, r.header)
	}
	for _, r := range requests {
		if status := statusWithin(t, r.conn, r.method, 100*time.Millisecond); status != 0 {
			t.Errorf("%s, %.20s: %d while the helper hangs", r.method, r.header, status)
		}
	}
	if out, err := task.Health(); err == nil {
		t.Errorf("healthy with a hung helper: %s", out)
	}
	if reached := w.origins.Reached(); len(reached) > 0 {
		t.Errorf("reached while the helper hangs: %v", reached)
	}

	resume()
	for _, r := range requests {
		if status := statusWithin(t, r.conn, r.method, 10*time.Second); status != r.want {
			t.Errorf("%s, %.20s: %d when the helper goes on, want %d", r.method, r.header, status, r.want)
		}
	}
}

// roomForRequests is the number of requests that the helper may have, and that may wait for it.
var roomForRequests = regexp.MustCompile(`concurrency=\d+ queue-size=\d+`)

// If more requests wait for the helper than the configuration allows, the others get a 503, and no
// log holds their credentials or queries.
func TestAnOverloadedDigestHelperLetsNobodyIn(t *testing.T) {
	w := newWorld(t)
	o := options(nil)
	const room = 4 + 4
	o.Edit = func(conf string) string {
		small := roomForRequests.ReplaceAllString(conf, "concurrency=4 queue-size=4")
		if small == conf {
			t.Error("the configuration does not limit waiting requests")
		}
		return small
	}
	task := startTask(t, o)
	nobody := anonymous(task)
	nonce := freshNonce(t, nobody)
	resume := hang(t, task)

	const target, uri = "http://origin.example/?query=swordfish", "/?query=swordfish"
	header := answer(nonce, "00000001", "GET", uri)
	answers := make(chan int, 3*room)
	for range 3 * room {
		conn := ask(t, nobody, "GET", target, header)
		go func() { answers <- statusWithin(t, conn, "GET", 30*time.Second) }()
	}
	for range 2 * room {
		if status := <-answers; status != http.StatusServiceUnavailable {
			t.Errorf("status %d while the helper hangs", status)
		}
	}
	select {
	case status := <-answers:
		t.Errorf("status %d instead of a place in the queue", status)
	case <-time.After(300 * time.Millisecond):
	}
	if reached := w.origins.Reached(); len(reached) > 0 {
		t.Errorf("reached: %v", reached)
	}
	resume()
	for range room {
		if status := <-answers; status != served {
			t.Errorf("status %d when the helper goes on", status)
		}
	}
	_, response, _ := strings.Cut(header, `response="`)
	response = strings.TrimSuffix(response, `"`)
	task.WaitForLog(t, `"status":503`)
	for name, log := range map[string]string{
		"Squid's messages": task.Errors(), "the access log": strings.Join(task.Log(), "\n"),
	} {
		for what, secret := range map[string]string{"query": "swordfish", "nonce": nonce, "response": response} {
			if secret == "" || strings.Contains(log, secret) {
				t.Errorf("the %s is in %s:\n%.2000s", what, name, log)
			}
		}
	}
}

// memoryOf reads a line of /proc/PID/status, in kB.
func memoryOf(t *testing.T, pid int, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
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
	send := make([]func() net.Conn, 0, requests)
	for i := range honest + guessers {
		who := anonymous(task)
		who.Header = rig.ProxyHeader(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}))
		credentials, count := answer(freshNonce(t, who), "00000001", "GET", "/page?x=1"), guesses
		if i < honest {
			count = (requests - guessers*guesses) / honest
		} else {
			credentials = credentials[:len(credentials)-len(`dead"`)] + `dead"`
		}
		// Port 81 is refused after authentication: no destination takes part.
		send = append(send, slices.Repeat([]func() net.Conn{func() net.Conn {
			return ask(t, who, "GET", "http://origin.example:81/page?x=1", credentials)
		}}, count)...)
	}
	helper := helperOf(t, squidOf(t, task))
	idle := memoryOf(t, helper, "VmRSS")
	resume := hang(t, task) // so that the helper gets all of them at the same time
	var readers []*bufio.Reader
	for _, ask := range send {
		conn := ask()
		conn.SetDeadline(time.Now().Add(time.Minute))
		readers = append(readers, bufio.NewReaderSize(conn, 16))
	}
	time.Sleep(2 * time.Second) // Squid reads the last of them
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", helper), []byte("5"), 0); err != nil {
		t.Fatal(err) // 5 resets the peak
	}
	resume()
	statuses := map[int]int{}
	for i, reader := range readers {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("request %d: %v\n%s", i, err, task.Errors())
		}
		response.Body.Close()
		statuses[response.StatusCode]++
	}
	peak := memoryOf(t, helper, "VmHWM")
	t.Logf("%d requests: %v; the helper's memory: %d kB before, %d at its peak", len(readers), statuses, idle, peak)
	guessed := guessers * guesses
	if len(readers) != requests || statuses[refused] != requests-guessed ||
		statuses[407] < 10*guessers || statuses[407]+statuses[429] != guessed {
		t.Errorf("%d requests were answered %v", len(readers), statuses)
	}
	if peak >= 20_000 {
		t.Errorf("the helper took %d kB with %d requests at a time", peak, requests)
	}
}
