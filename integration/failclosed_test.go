package integration

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// brokenHelpers replace the fleet's Digest helper. Each line from Squid begins with a channel
// number.
var brokenHelpers = []struct {
	name, script string
	squid        fate
}{
	{"talks nonsense", loop(`printf '%s \001\002 what? user=alice\n' "$channel"`), survives},
	{"refuses without a challenge", loop(`echo "$channel ERR"`), survives},
	{"agrees without a user", loop(`echo "$channel OK"`), survives},
	{"refuses and names a user", loop(`echo "$channel ERR log=broken"`), survives},
	{"reports that it is broken", loop(`echo "$channel BH message=broken"`), survives},
	{"answers another request", loop(`echo "$((channel + 1000)) OK user=alice"; echo "$channel BH"`), survives},
	{"dies of every other request", `read -r channel rest; echo "$channel ERR"; read -r line; exit 1`, mayEnd},
	{"dies of its first request", `read -r line; exit 1`, ends},
}

// loop is a helper that answers each request with shell commands.
func loop(commands string) string { return "while read -r channel rest; do " + commands + "; done" }

// fate is a broken helper's effect on Squid.
type fate int

const (
	survives fate = iota
	mayEnd        // Squid 5.7 sometimes fails an assertion when a helper ends (Write.cc:40)
	ends          // Squid gives up if helpers die within half a minute without an answer
)

// withHelper replaces the helper that checks credentials by a shell script.
func withHelper(o taskOptions, script string) taskOptions {
	o.Prepare = func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "helper.sh"), []byte("#!/bin/sh\n"+script+"\n"), 0o755)
	}
	return o.and(func(conf string) string {
		return regexp.MustCompile(`\./entrypoint digest.*`).ReplaceAllString(conf, "./helper.sh")
	})
}

// tryBrokenHelpers sends requests to tasks with a broken helper: each has to get a 503. Where the
// helper's end also ends Squid, no answer is right too. Both helpers of auth=any are broken at the
// same time.
func tryBrokenHelpers(s subject) {
	for _, broken := range brokenHelpers {
		unavailable := 0
		// A helper that dies of one of two requests gets another chance.
		for attempt := 0; attempt == 0 || broken.squid == mayEnd && unavailable < 2 && attempt < 3; attempt++ {
			unavailable = s.countUnavailable(broken.name, broken.squid, withHelper(s.options, broken.script))
		}
		if broken.squid == mayEnd && unavailable < 2 {
			s.wrong("helper %s: no request that it dies of gets a 503", broken.name)
		}
	}
	for to := range s.w.origins.Reached() {
		s.wrong("%s was reached", to)
	}
}

// countUnavailable counts the answers with a 503 of one task with a broken helper.
func (s subject) countUnavailable(name string, squid fate, o taskOptions) (unavailable int) {
	task := startTask(s.t, o)
	defer task.Kill()
	for _, who := range []rig.Client{client(task), anonymous(task)} {
		for method, target := range originOf {
			response, err := who.Request(method, target)
			switch {
			case err == nil && response.StatusCode == http.StatusServiceUnavailable:
				unavailable++
			case err == nil || squid == survives:
				s.wrong("helper %s: %s by %q: %+v, %v", name, method, who.User, response, err)
			}
		}
	}
	if squid == ends && task.Wait(s.t, 10*time.Second) == 0 {
		s.wrong("helper %s: the task ended as if all were well", name)
	}
	return unavailable
}

// challengesInVain challenges and then refuses every answer: only the health check's second
// request notices.
const challengesInVain = `while read -r channel data client method target header; do
	case "$header" in
	-*)
		digest='Digest realm=\"squidfleet\", nonce=\"n\", qop=\"auth\", algorithm=MD5'
		echo "$channel ERR md5_=\"$digest\" log=no-credentials" ;;
	*) echo "$channel ERR log=line-malformed" ;;
	esac
done`

// remembering is a helper that knows one password, refuses it the first time, and keeps a file of
// what it is asked.
const remembering = `while read -r channel client data header; do
	echo "$client $header" >> run/asked
	case "$header" in
	*RIGHT*)
		if [ "$(grep -c "$client .*RIGHT" run/asked)" = 1 ]
		then echo "$channel ERR throttled_=1 log=throttled"
		else echo "$channel OK user=alice"
		fi ;;
	*) echo "$channel ERR basic_=1 md5_=1 log=wrong-password" ;;
	esac
done`

// tryRemembering is wrong if Squid does not remember right Basic credentials, for all URLs and one
// address, or if it remembers others: a wrong password costs a check each time.
func tryRemembering(s subject) {
	task := startTask(s.t, withHelper(s.options, remembering))
	defer task.Kill()
	here, there := anonymous(task), anonymous(task).At(netip.MustParseAddr("198.51.100.8"))
	for i, step := range []struct {
		who         rig.Client
		header, url string
		status      int
		asked       int // afterwards
	}{
		{here, "Basic WRONG", "http://origin.example/", 407, 1},
		{here, "Basic WRONG", "http://origin.example/", 407, 2},
		{here, "Basic RIGHT", "http://origin.example/", 429, 3},
		{here, "Basic RIGHT", "http://origin.example/", served, 4},
		{here, "Basic RIGHT", "http://origin.example/", served, 4},
		{here, "Basic RIGHT", "http://origin.example/?another=1", served, 4},
		{here, "Basic RIGHT", "http://10.9.8.7/", refused, 4},
		{there, "Basic RIGHT", "http://origin.example/", 429, 5},
		{here, "Basic RIGHTLY", "http://origin.example/", served, 6},
		{here, "Basic WRONG", "http://origin.example/", 407, 7},
	} {
		got := code(step.who.Request("GET", step.url, "Proxy-Authorization: "+step.header))
		text, _ := os.ReadFile(filepath.Join(task.Dir, "run", "asked"))
		if asked := strings.Count(string(text), "\n"); got != step.status || asked != step.asked {
			s.wrong("step %d: %s for %s: %d, want %d; the helper is asked %d times, want %d",
				i, step.header, step.url, got, step.status, asked, step.asked)
		}
	}
}

// tryHealthOfABrokenHelper is wrong if the health check accepts a helper that refuses everybody.
func tryHealthOfABrokenHelper(s subject) {
	task := startTask(s.t, withHelper(s.options, challengesInVain))
	defer task.Kill()
	if got := statusOf(anonymous(task)); got != http.StatusProxyAuthRequired {
		s.wrong("without credentials: %d", got)
	}
	if got := statusOf(client(task)); got != http.StatusServiceUnavailable {
		s.wrong("with credentials: %d", got)
	}
	if out, err := task.Health(); err == nil || !strings.Contains(out, "503") {
		s.wrong("the health check of a task that refuses everybody: %s", out)
	}
}

func squidOf(t testing.TB, task *squidTask) int {
	t.Helper()
	pids := childrenOf(task.Pid(), "squid")
	if len(pids) != 1 {
		t.Fatalf("Squids: %v", pids)
	}
	return pids[0]
}

func helperOf(t *testing.T, squid int) int {
	t.Helper()
	var helpers []int
	must.Await(t, "the Digest helper", func() bool {
		helpers = childrenOf(squid, "entrypoint")
		return len(helpers) == 1
	})
	return helpers[0]
}

// awaitState waits until all threads of a process are in a state of /proc/PID/stat.
func awaitState(t *testing.T, pid int, state string) {
	t.Helper()
	must.Await(t, fmt.Sprintf("state %s of process %d", state, pid), func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("process %d: %v", pid, err)
		}
		return !slices.ContainsFunc(threads, func(thread string) bool {
			stat, err := os.ReadFile(thread)
			_, rest, _ := strings.Cut(string(stat), ") ")
			return err == nil && !strings.HasPrefix(rest, state)
		})
	})
}

// Squid restarts a killed helper, or ends, and lets nobody in meanwhile. Other signals, such as
// those to the whole process group, leave the helper to a Squid that drains. With auth=any, the end
// of the helper that checks ends the one that hands over, which Squid starts later.
func TestHelpersOutliveSignalsAndComeBackWhenKilled(t *testing.T) {
	inModes(t, []mode{newMode("digest", "fleet"), newMode("any", "fleet")}, func(t *testing.T, m mode) {
		newWorld(t)
		task := startTask(t, options(m))
		squid := squidOf(t, task)
		want, helpers := 1, []int(nil)
		if m.is("any") {
			want = 2
		}
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
			for _, who := range []rig.Client{client(task), bob(task)} { // so that both helpers are there
				if got := statusOf(who); got != served {
					t.Errorf("%s: status %d before %v", who.User, got, signal)
				}
			}
			now := childrenOf(squid, "entrypoint")
			if len(now) != want || helpers != nil && !slices.Equal(now, helpers) {
				t.Fatalf("helpers %v before %v, earlier %v", now, signal, helpers)
			}
			helpers = now
			must.OK(t, syscall.Kill(slices.Min(helpers), signal))
		}
		comesBack(t, task)
	})
}

// comesBack waits until a task whose helper was killed serves everybody with a password again, or
// has ended, and serves nobody else. A request that was with the helper may wait for ever.
func comesBack(t *testing.T, task *squidTask) {
	t.Helper()
	if !must.Within(90*time.Second, func() bool {
		if got := statusOf(anonymous(task)); got != cutOff && got != 407 && got != 503 {
			t.Errorf("a client without a password got %d", got)
		}
		// See mayEnd: then the task ends, and ECS starts another.
		code, ended := task.Ended()
		if ended && code == 0 {
			t.Error("the task ended as if all were well")
		}
		return ended || statusOf(client(task)) == served && statusOf(client(task).At(insiderIPv6)) == served &&
			statusOf(bob(task)) == served
	}) {
		t.Errorf("nobody is served 90 s later\n%s", task.Errors())
	}
}
