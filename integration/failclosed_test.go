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

// brokenHelpers are programs in place of the fleet's Digest helper: what each does with a line of Squid's, which begins with a channel number, and what that does to Squid.
var brokenHelpers = []struct {
	name, script string
	squid        fate
}{
	{"talks nonsense", `while read -r channel rest; do printf '%s \001\002 what? user=alice\n' "$channel"; done`, survives},
	{"refuses without a challenge", `while read -r channel rest; do echo "$channel ERR"; done`, survives},
	{"agrees without a user", `while read -r channel rest; do echo "$channel OK"; done`, survives},
	{"refuses and names a user", `while read -r channel rest; do echo "$channel ERR log=broken"; done`, survives},
	{"is broken and says so", `while read -r channel rest; do echo "$channel BH message=broken"; done`, survives},
	{"answers for somebody else", `while read -r channel rest; do echo "$((channel + 1000)) OK user=alice"; echo "$channel BH"; done`, survives},
	{"dies of every other request", `read -r channel rest; echo "$channel ERR"; read -r line; exit 1`, mayEnd},
	{"dies of its first request", `read -r line; exit 1`, ends},
}

// fate is what a broken helper does to Squid.
type fate int

const (
	survives fate = iota
	mayEnd        // Squid 5.7 sometimes fails an assertion of its own when a helper goes (Write.cc:40)
	ends          // Squid gives up on a helper that dies without an answer within half a minute
)

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
	port := 35221
	for _, broken := range brokenHelpers {
		wrong := func(format string, args ...any) {
			problems = append(problems, "helper "+broken.name+": "+fmt.Sprintf(format, args...))
		}
		for attempt := 1; ; attempt++ {
			task, err := rig.TryTask(t, withHelper(onPort(base, port), broken.script, edit))
			port += 10
			if err != nil {
				wrong("%v", err)
				break
			}
			unavailable := 0
			for _, user := range []string{"alice", ""} {
				for _, method := range []string{"GET", "CONNECT"} {
					who := client(task)
					who.User = user
					response, err := who.Request(method, map[string]string{"GET": "http://origin.example/", "CONNECT": "origin.example:443"}[method])
					switch {
					case err == nil && response.StatusCode == http.StatusServiceUnavailable:
						unavailable++
					case err == nil || broken.squid == survives:
						wrong("%s by %q: %+v, %v", method, user, response, err)
					}
				}
			}
			if broken.squid == ends {
				if code := task.Wait(t, 10*time.Second); code == 0 {
					wrong("the task ended as if all were well")
				}
				break
			}
			task.Kill()
			if broken.squid == survives || unavailable > 1 { // one of two requests is one that the helper has died of
				break
			}
			if attempt == 3 {
				wrong("no request that it dies of was answered with a 503")
				break
			}
		}
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

// A helper that challenges and then refuses whoever answers: only the health check's second request finds it out.
const challengesInVain = `while read -r channel data client method target header; do
	case "$header" in
	-*) echo "$channel ERR md5_=\"Digest realm=\\\"squidfleet\\\", nonce=\\\"n\\\", qop=\\\"auth\\\", algorithm=MD5\" log=no-credentials" ;;
	*) echo "$channel ERR log=line-malformed" ;;
	esac
done`

// brokenHealthProblems says whether the health check is content with a helper that lets nobody in.
func brokenHealthProblems(t *testing.T, base rig.TaskOptions, edit func(string) string) (problems []string) {
	t.Helper()
	task, err := rig.TryTask(t, withHelper(onPort(base, 35221), challengesInVain, edit))
	if err != nil {
		return []string{err.Error()}
	}
	defer task.Kill()
	nobody := client(task)
	nobody.User = ""
	if response, err := nobody.Request("GET", "http://origin.example/"); err != nil || response.StatusCode != http.StatusProxyAuthRequired {
		problems = append(problems, fmt.Sprintf("without credentials: %+v, %v", response, err))
	}
	if response, err := client(task).Request("GET", "http://origin.example/"); err != nil || response.StatusCode != http.StatusServiceUnavailable {
		problems = append(problems, fmt.Sprintf("with credentials: %+v, %v", response, err))
	}
	if out, err := task.Health(); err == nil || !strings.Contains(out, "503") {
		problems = append(problems, fmt.Sprintf("a task that lets nobody in passes its health check, or fails it for another reason: %s", out))
	}
	return problems
}

func TestTheHealthCheckNoticesAHelperThatRefusesEverybody(t *testing.T) {
	newWorld(t)
	for _, problem := range brokenHealthProblems(t, options(nil), asItIs) {
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
