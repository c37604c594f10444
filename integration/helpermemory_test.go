package integration

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

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
