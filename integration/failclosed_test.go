package integration

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
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

// withHelper replaces the Digest helper by a shell script, after edit.
func withHelper(o taskOptions, script string, edit func(string) string) taskOptions {
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

// brokenHelperProblems are the requests to tasks with a broken helper that get something else than
// a 503. Where the helper's end also ends Squid, no answer is right too.
func brokenHelperProblems(t *testing.T, w *world, base taskOptions, edit func(string) string) (problems []string) {
	t.Helper()
	port := 35221
	for _, broken := range brokenHelpers {
		wrong := func(format string, args ...any) {
			problems = append(problems, "helper "+broken.name+": "+fmt.Sprintf(format, args...))
		}
		for attempt := 1; ; attempt++ {
			task, err := tryTask(t, withHelper(onPort(base, port), broken.script, edit))
			port += 10
			if err != nil {
				wrong("%v", err)
				break
			}
			unavailable := 0
			for _, who := range []rig.Client{client(task), anonymous(task)} {
				for method, target := range originOf {
					response, err := who.Request(method, target)
					switch {
					case err == nil && response.StatusCode == http.StatusServiceUnavailable:
						unavailable++
					case err == nil || broken.squid == survives:
						wrong("%s by %q: %+v, %v", method, who.User, response, err)
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
			if broken.squid == survives || unavailable > 1 { // the helper dies of one of two requests
				break
			}
			if attempt == 3 {
				wrong("no request that it dies of gets a 503")
				break
			}
		}
	}
	for to := range w.origins.Reached() {
		problems = append(problems, fmt.Sprintf("%s was reached", to))
	}
	return problems
}

// Both helpers of auth=any are broken at the same time. Those of auth=basic are as these.
func TestABrokenHelperLetsNobodyIn(t *testing.T) {
	inModes(t, []mode{newMode("digest", "fleet"), newMode("any", "fleet")}, func(t *testing.T, m mode) {
		w := newWorld(t)
		report(t, brokenHelperProblems(t, w, options(m), asItIs))
	})
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

// rememberedProblems is not empty if Squid does not remember right Basic credentials, for all URLs
// and one address, or if it remembers others.
func rememberedProblems(t *testing.T, base taskOptions, edit func(string) string) (problems []string) {
	t.Helper()
	task, err := tryTask(t, withHelper(onPort(base, 35221), remembering, edit))
	if err != nil {
		return []string{err.Error()}
	}
	defer task.Kill()
	asked := func() int {
		text, err := os.ReadFile(filepath.Join(task.Dir, "run", "asked"))
		if err != nil {
			return 0
		}
		return strings.Count(string(text), "\n")
	}
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
		response, err := step.who.Request("GET", step.url, "Proxy-Authorization: "+step.header)
		if err != nil || response.StatusCode != step.status || asked() != step.asked {
			problems = append(problems, fmt.Sprintf("step %d: %s for %s: %+v, %v; the helper is asked %d times, "+
				"want %d", i, step.header, step.url, response, err, asked(), step.asked))
		}
	}
	return problems
}

// A wrong password costs a check each time, a right one costs one a minute.
func TestSquidRemembersRightBasicCredentialsAndNoOthers(t *testing.T) {
	inModes(t, []mode{newMode("basic", "fleet"), newMode("any", "fleet")}, func(t *testing.T, m mode) {
		newWorld(t)
		report(t, rememberedProblems(t, options(m), asItIs))
	})
}

// brokenHealthProblems is not empty if the health check accepts a helper that refuses everybody.
func brokenHealthProblems(t *testing.T, base taskOptions, edit func(string) string) (problems []string) {
	t.Helper()
	task, err := tryTask(t, withHelper(onPort(base, 35221), challengesInVain, edit))
	if err != nil {
		return []string{err.Error()}
	}
	defer task.Kill()
	if got := statusOf(anonymous(task)); got != http.StatusProxyAuthRequired {
		problems = append(problems, fmt.Sprintf("without credentials: %d", got))
	}
	if got := statusOf(client(task)); got != http.StatusServiceUnavailable {
		problems = append(problems, fmt.Sprintf("with credentials: %d", got))
	}
	if out, err := task.Health(); err == nil || !strings.Contains(out, "503") {
		problems = append(problems, fmt.Sprintf("the health check of a task that refuses everybody: %s", out))
	}
	return problems
}

func TestTheHealthCheckNoticesAHelperThatRefusesEverybody(t *testing.T) {
	newWorld(t)
	report(t, brokenHealthProblems(t, options(nil), asItIs))
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

// Squid restarts a killed helper, or ends, and lets nobody in meanwhile. Other signals do not end
// the helper.
func TestTheDigestHelperOutlivesSignalsAndComesBackWhenKilled(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(nil))
	squid := squidOf(t, task)
	helper := helperOf(t, squid)
	// A signal to the whole process group, such as Ctrl-C, leaves the helper to a Squid that
	// drains.
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		if got := statusOf(client(task)); got != served {
			t.Errorf("status %d before %v", got, signal)
		}
		if after := helperOf(t, squid); after != helper {
			t.Fatalf("helper %d before %v, earlier %d", after, signal, helper)
		}
		must.OK(t, syscall.Kill(helper, signal))
	}
	comesBack(t, task)
}

// With auth=any, the end of the helper that checks ends the one that hands over. Squid starts both
// anew, or ends.
func TestBothHelpersComeBackWhenOneIsKilled(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(newMode("any", "fleet")))
	for _, who := range []rig.Client{client(task), bob(task)} { // so that both are there
		if got := statusOf(who); got != served {
			t.Fatalf("%s: %d", who.User, got)
		}
	}
	helpers := childrenOf(squidOf(t, task), "entrypoint")
	if len(helpers) != 2 {
		t.Fatalf("helpers %v", helpers)
	}
	if err := syscall.Kill(slices.Min(helpers), syscall.SIGKILL); err != nil { // Squid starts it first
		t.Fatal(err)
	}
	comesBack(t, task)
}

// comesBack waits until a task whose helper was killed serves everybody with a password again, or
// has ended, and serves nobody else. A request that was with the helper may wait for ever.
func comesBack(t *testing.T, task *squidTask) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; {
		if got := statusOf(anonymous(task)); got != cutOff && got != 407 && got != 503 {
			t.Fatalf("a client without a password got %d", got)
		}
		if statusOf(client(task)) == served && statusOf(client(task).At(insiderIPv6)) == served &&
			statusOf(bob(task)) == served {
			return
		}
		// See mayEnd: then the task ends, and ECS starts another.
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
