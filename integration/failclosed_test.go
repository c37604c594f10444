package integration

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/rig"
)

// brokenHelpers are programs in place of the fleet's Digest helper: what each does with a line of Squid's, which begins with a channel number.
var brokenHelpers = []struct{ name, script string }{
	{"talks nonsense", `while read -r channel rest; do printf '%s \001\002 what? user=alice\n' "$channel"; done`},
	{"refuses without a challenge", `while read -r channel rest; do echo "$channel ERR"; done`},
	{"agrees without a user", `while read -r channel rest; do echo "$channel OK"; done`},
	{"refuses and names a user", `while read -r channel rest; do echo "$channel ERR log=broken"; done`},
	{"is broken and says so", `while read -r channel rest; do echo "$channel BH message=broken"; done`},
	{"answers for somebody else", `while read -r channel rest; do echo "$((channel + 1000)) OK user=alice"; echo "$channel BH"; done`},
	{"dies of each request", `read -r line; exit 1`},
}

// withHelper replaces the Digest helper by a shell script, after an edit of the configuration.
func withHelper(o rig.TaskOptions, script string, edit func(string) string) rig.TaskOptions {
	o.Prepare = func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "helper.sh"), []byte("#!/bin/sh\n"+script+"\n"), 0o755)
	}
	o.Edit = func(conf string) string {
		var out strings.Builder
		for line := range strings.Lines(edit(conf)) {
			if before, _, found := strings.Cut(line, "./entrypoint digest"); found {
				line = before + "./helper.sh\n"
			}
			out.WriteString(line)
		}
		return out.String()
	}
	return o
}

func asItIs(conf string) string { return conf }

// brokenHelperProblems says which requests are let in, or challenged without a challenge, by tasks with a broken Digest helper. All of them should be a 503, or end without an answer where the helper's end takes Squid along.
func brokenHelperProblems(t *testing.T, w *world, base rig.TaskOptions, edit func(string) string) (problems []string) {
	t.Helper()
	for i, broken := range brokenHelpers {
		task, err := rig.TryTask(t, withHelper(onPort(base, 35221+10*i), broken.script, edit))
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", broken.name, err))
			continue
		}
		for _, user := range []string{"alice", ""} {
			for _, method := range []string{"GET", "CONNECT"} {
				who := client(task)
				who.User = user
				response, err := who.Request(method, map[string]string{"GET": "http://origin.example/", "CONNECT": "origin.example:443"}[method])
				mayEnd := broken.name == "dies of each request"
				if err != nil && !mayEnd || err == nil && response.StatusCode != http.StatusServiceUnavailable {
					problems = append(problems, fmt.Sprintf("helper %s: %s by %q: %+v, %v", broken.name, method, user, response, err))
				}
			}
		}
		task.Kill()
	}
	for to := range w.origins.Reached() {
		problems = append(problems, fmt.Sprintf("%s was reached", to))
	}
	return problems
}

func TestABrokenDigestHelperLetsNobodyIn(t *testing.T) {
	w := newWorld(t)
	for _, problem := range brokenHelperProblems(t, w, options(nil), asItIs) {
		t.Error(problem)
	}
}

// helperOf is the process of a Squid's Digest helper, once it is there.
func helperOf(t *testing.T, squid int) int {
	t.Helper()
	for range 1000 {
		if helpers, err := rig.ChildrenOf(squid, "entrypoint"); err == nil && len(helpers) == 1 {
			return helpers[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("no Digest helper")
	return 0
}

// awaitState waits until a process, with all of its threads, is in a state as /proc tells it.
func awaitState(t *testing.T, pid int, state string) {
	t.Helper()
	for range 1000 {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("process %d: %v", pid, err)
		}
		others := 0
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if _, rest, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(rest, state) {
				others++
			}
		}
		if others == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("process %d is not in state %s", pid, state)
}

// A helper that is stopped answers nobody, and the health check notices.
func TestAHungDigestHelperTurnsTheTaskUnhealthy(t *testing.T) {
	newWorld(t)
	task := rig.StartTask(t, options(nil))
	if out, err := task.Health(); err != nil {
		t.Fatalf("healthy at first: %v\n%s", err, out)
	}
	squid := squidOf(t, task)
	helper := helperOf(t, squid)
	if err := syscall.Kill(helper, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(helper, syscall.SIGCONT)
	// On a busy machine a process may run on for a moment after the signal.
	awaitState(t, helper, "T")
	if out, err := task.Health(); err == nil {
		t.Errorf("healthy with a hung helper: %s", out)
	}
}

// Squid starts a helper anew that was killed, or ends itself, and lets nobody in meanwhile.
func TestAKilledDigestHelperComesBack(t *testing.T) {
	newWorld(t)
	task := rig.StartTask(t, options(nil))
	squid := squidOf(t, task)
	if response, err := client(task).Request("GET", "http://origin.example/"); err != nil || response.StatusCode != served {
		t.Fatalf("%+v, %v", response, err)
	}
	helper := helperOf(t, squid)
	if err := syscall.Kill(helper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	nobody := client(task)
	nobody.User = ""
	for deadline := time.Now().Add(90 * time.Second); ; { // a request that was with the helper may wait for as long as its client does
		if response, err := nobody.Request("GET", "http://origin.example/"); err == nil && response.StatusCode != 407 && response.StatusCode != 503 {
			t.Fatalf("somebody without a password got %d", response.StatusCode)
		}
		if response, err := client(task).Request("GET", "http://origin.example/"); err == nil && response.StatusCode == served {
			return
		}
		// Squid 5.7 sometimes fails an assertion of its own when a helper goes (Write.cc:40): then the task ends, and ECS starts another.
		if code, ended := task.Ended(); ended {
			if code == 0 {
				t.Error("the task ended as if all were well")
			}
			t.Logf("the task ended with %d", code)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody is served 90 s later\n%s", task.Errors())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// guessingProblems says whether an address that guesses many passwords at a time is refused with a 429, and whether others suffer.
func guessingProblems(task *rig.Task) (problems []string) {
	guesser := client(task)
	guesser.Header = rig.ProxyHeader(netip.MustParseAddr("198.51.100.66"))
	guesser.Password = "wrong password"
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			response, err := guesser.Request("GET", "http://origin.example/")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				statuses[response.StatusCode]++
			}
		})
	}
	begin := time.Now()
	if response, err := client(task).Request("GET", "http://origin.example/"); err != nil || response.StatusCode != served || time.Since(begin) > 10*time.Second {
		problems = append(problems, fmt.Sprintf("another address next to a guesser: %+v, %v", response, err))
	}
	all.Wait()
	if statuses[http.StatusTooManyRequests] == 0 || statuses[served] > 0 || statuses[refused] > 0 || statuses[noAddress] > 0 {
		problems = append(problems, fmt.Sprintf("100 guesses from one address were answered %v", statuses))
	}
	return problems
}

func TestWhoGuessesIsSlowedDownAndOthersAreNot(t *testing.T) {
	newWorld(t)
	task := rig.StartTask(t, options(nil))
	for _, problem := range guessingProblems(task) {
		t.Error(problem)
	}
}

// What ends a whole process group, Ctrl-C for one, does not take the helper from a Squid that is to drain.
func TestTheDigestHelperEndsWithSquidAlone(t *testing.T) {
	newWorld(t)
	task := rig.StartTask(t, options(nil))
	squid := squidOf(t, task)
	helper := helperOf(t, squid)
	if response, err := client(task).Request("GET", "http://origin.example/"); err != nil || response.StatusCode != served {
		t.Fatalf("%+v, %v", response, err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if err := syscall.Kill(helper, signal); err != nil {
			t.Fatal(err)
		}
	}
	if response, err := client(task).Request("GET", "http://origin.example/"); err != nil || response.StatusCode != served {
		t.Errorf("%+v, %v", response, err)
	}
	if after, err := rig.ChildrenOf(squid, "entrypoint"); err != nil || len(after) != 1 || after[0] != helper {
		t.Errorf("helpers: %v, before %d, %v", after, helper, err)
	}
}
