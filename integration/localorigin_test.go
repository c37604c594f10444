package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/params"
	"squidfleet/proxyimage"
)

// The origin of a fleet on one machine, and a task's address towards it.
var (
	localOrigin = netip.MustParseAddrPort("127.77.0.80:8080")
	localEgress = netip.MustParseAddr("127.77.1.1")
)

// onOneMachine are the options of a task in a fleet on one machine, with an edited configuration.
func onOneMachine(t *testing.T, edit func(string) string) taskOptions {
	t.Helper()
	o := options(nil)
	p, err := params.Parse(o.Context)
	must.OK(t, err)
	config := proxyimage.Config(p, o.Network)
	config.LocalOrigin, config.OutgoingAddress = localOrigin, localEgress
	conf, err := config.Render()
	must.OK(t, err)
	o.Edit = func(string) string { return edit(conf) }
	return o
}

// localOriginProblems is not empty if the local origin is not served from the right address, or if
// more than it is open.
func localOriginProblems(w *world, task *squidTask) (problems []string) {
	var from string
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		from = r.RemoteAddr
		io.WriteString(rw, "hello")
	}))
	defer w.origins.SetHandler(http.HandlerFunc(w.answer))
	w.names.Set("localorigin.example", localOrigin.Addr().String())
	w.names.Set("localandpublic.example", localOrigin.Addr().String(), publicIPv4.String())
	for _, c := range []struct {
		method, target string
		status         int
		from           bool // whether the connection comes from localEgress
	}{
		{"GET", "http://127.77.0.80:8080/", served, true},
		{"GET", "http://origin.example/", served, false},
		{"GET", "http://127.77.0.80/", refused, false},
		{"GET", "http://127.77.0.81:8080/", refused, false},
		{"GET", "http://127.0.0.1:8080/", refused, false},
		{"GET", "http://169.254.169.254:8080/", refused, false},
		{"GET", "http://origin.example:8080/", refused, false},
		{"GET", "http://localorigin.example/", refused, false},
		{"GET", "http://localorigin.example:8080/", refused, false},
		{"GET", "http://localandpublic.example/", refused, false},
		{"GET", "http://localandpublic.example:8080/", refused, false},
		{"CONNECT", "127.77.0.80:443", refused, false},
	} {
		wrong := func(format string, args ...any) {
			problems = append(problems, c.method+" "+c.target+": "+fmt.Sprintf(format, args...))
		}
		w.origins.Forget()
		from = ""
		if got := code(client(task).Request(c.method, c.target)); got != c.status {
			wrong("%d, want %d", got, c.status)
		}
		for to := range w.origins.Reached() {
			if c.status != served || to != localOrigin && !isPublic(to) {
				wrong("%s was reached", to)
			}
		}
		if strings.HasPrefix(from, localEgress.String()+":") != c.from {
			wrong("came from %s", from)
		}
	}
	return problems
}

func TestAFleetOnOneMachineOpensItsOriginAndNothingElse(t *testing.T) {
	w := newWorld(t)
	task := startTask(t, onOneMachine(t, asItIs))
	report(t, localOriginProblems(w, task))
	task.Kill()
	// Each line that only such a fleet has is needed.
	o := onOneMachine(t, asItIs)
	others := linesOf(t, options(nil))
	taken := 0
	for _, line := range linesOf(t, o) {
		if slices.Contains(others, line) {
			continue
		}
		taken++
		o := onOneMachine(t, without(line))
		problem := unreadable(t, o)
		if problem == "" {
			task := startTask(t, o)
			problem = strings.Join(localOriginProblems(w, task), "; ")
			task.Kill()
		}
		if problem == "" {
			t.Errorf("without %q no check fails", line)
		}
		t.Logf("without %q: %.200s", line, problem)
	}
	if taken != 5 {
		t.Errorf("%d lines, want 5", taken)
	}
}
