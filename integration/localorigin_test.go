package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/rig"
	"squidfleet/params"
	"squidfleet/proxyimage"
)

// The origin of a fleet on one machine, and the address from which a task goes there.
var (
	localOrigin = netip.MustParseAddrPort("127.77.0.80:8080")
	localEgress = netip.MustParseAddr("127.77.1.1")
)

// onOneMachine are the options of a task of a fleet on one machine, whose configuration is edited.
func onOneMachine(t *testing.T, edit func(string) string) rig.TaskOptions {
	t.Helper()
	o := options(nil)
	p, err := params.Parse(o.Context)
	if err != nil {
		t.Fatal(err)
	}
	config := proxyimage.Config(p, o.Network)
	config.LocalOrigin, config.OutgoingAddress = localOrigin, localEgress
	conf, err := config.Render()
	if err != nil {
		t.Fatal(err)
	}
	o.Edit = func(string) string { return edit(conf) }
	return o
}

// localOriginProblems says whether the local origin is served, from the right address, and whether more than it is open.
func localOriginProblems(w *world, task *rig.Task) (problems []string) {
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
		w.origins.Forget()
		from = ""
		response, err := client(task).Request(c.method, c.target)
		if err != nil || response.StatusCode != c.status {
			problems = append(problems, fmt.Sprintf("%s %s: %+v, %v, want %d", c.method, c.target, response, err, c.status))
		}
		for to := range w.origins.Reached() {
			if c.status != served || to != localOrigin && !isPublic(to) {
				problems = append(problems, fmt.Sprintf("%s %s: %s was reached", c.method, c.target, to))
			}
		}
		if strings.HasPrefix(from, localEgress.String()+":") != c.from {
			problems = append(problems, fmt.Sprintf("%s %s: came from %s", c.method, c.target, from))
		}
	}
	return problems
}

func TestAFleetOnOneMachineOpensItsOriginAndNothingElse(t *testing.T) {
	w := newWorld(t)
	task := rig.StartTask(t, onOneMachine(t, asItIs))
	for _, problem := range localOriginProblems(w, task) {
		t.Error(problem)
	}
	task.Kill()
	// Each of the lines that such a fleet has more than any other is there for something.
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
			task := rig.StartTask(t, o)
			problem = strings.Join(localOriginProblems(w, task), "; ")
			task.Kill()
		}
		if problem == "" {
			t.Errorf("without %q nothing comes out wrong", line)
		}
		t.Logf("without %q: %.200s", line, problem)
	}
	if taken != 5 {
		t.Errorf("%d lines, want 5", taken)
	}
}
