package integration

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// begins finds a key that is the beginning of the line, and returns its value.
func begins(table map[string]string, line string) (value string, found bool) {
	for key, value := range table {
		if strings.HasPrefix(line, key) {
			return value, true
		}
	}
	return "", false
}

func without(lines ...string) func(conf string) string {
	return func(conf string) string {
		all := strings.SplitAfter(conf, "\n")
		for _, line := range lines {
			at := slices.Index(all, line)
			all = slices.Delete(all, at, at+1)
		}
		return strings.Join(all, "")
	}
}

// mutations checks tasks without some lines of their configuration.
type mutations struct {
	w    *world
	mode mode
	base taskOptions
	mine func() bool // whether the next task is of this share
}

// control fails the test if the task with all lines has a problem. Then problems of the others
// prove nothing. TestEveryLookIsGood looks at such a task more closely.
func (m *mutations) control(t *testing.T) {
	t.Helper()
	task := startTask(t, m.base)
	defer task.Kill()
	if problem := m.seen(t, task, ""); problem != "" {
		t.Fatal("with all lines, ", problem)
	}
}

// seen is the first problem that a look finds.
func (m *mutations) seen(t *testing.T, task *squidTask, line string) string {
	for _, look := range looks(task, line) {
		if problems := (subject{t: t, w: m.w, task: task}).problems(look.check); len(problems) > 0 {
			return look.name + ": " + problems[0]
		}
	}
	return ""
}

// found returns the problem of a task whose line an edit removes or changes.
func (m *mutations) found(t *testing.T, line string, edit func(string) string) (problem string) {
	t.Helper()
	o := m.base.and(edit)
	if trial, found := m.mode.trialOf(line); found && unreadable(t, o) == "" {
		for range 2 { // A busy machine may miss the moment.
			if problems := (subject{t: t, w: m.w, options: o}).problems(trial.check); len(problems) > 0 {
				return strings.Join(problems, "; ")
			}
		}
	}
	task, err := tryTask(t, o)
	if err == nil {
		defer task.Kill()
		return m.seen(t, task, line)
	}
	if said := unreadable(t, o); said != "" {
		return "Squid does not read it: " + said
	}
	// That may be the test's fault, such as a port in use. It is not if the next task starts and the
	// message is the expected one.
	m.control(t)
	if !strings.HasPrefix(line, "pid_filename ") || !strings.Contains(err.Error(), "/run/squid.pid") {
		t.Errorf("without %q a task does not start, for no known reason: %v", line, err)
	}
	return err.Error()
}

// unreadable is the message of `squid -k parse` about a configuration that it refuses.
func unreadable(t *testing.T, o taskOptions) string {
	t.Helper()
	dir, _ := stage(t, o)
	parse := exec.Command("squid", "-k", "parse", "-f", filepath.Join(dir, "squid.conf"))
	parse.Dir = dir
	out, err := parse.CombinedOutput()
	if err == nil {
		return ""
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "FATAL") || strings.Contains(line, "ERROR") {
			return strings.TrimSpace(line)
		}
	}
	return string(out)
}

// Each line of the configuration is needed: without it a check fails. mutants_test.go lists the
// excused lines.
func TestNoRuleCanBeTakenAway(t *testing.T) {
	shares := []string{"first", "second", "third", "fourth"}
	inShares(t, shares, func(t *testing.T, share int) {
		var all []string // lines of the modes before
		count := 0
		mine := func() bool {
			count++
			return count%len(shares) == share
		}
		for _, m := range modes {
			lines := linesOf(t, lookedAt(m))
			if len(lines) < 200 {
				t.Fatalf("only %d lines", len(lines))
			}
			t.Run(m.String(), func(t *testing.T) {
				noRuleCanBeTakenAway(t, &mutations{newWorld(t), m, lookedAt(m), mine}, lines, all)
			})
			all = append(all, lines...)
		}
		for key := range excused {
			if !slices.ContainsFunc(all, func(line string) bool { return strings.HasPrefix(line, key) }) {
				t.Errorf("%q is excused, and no line begins with it", key)
			}
		}
	})
}

func noRuleCanBeTakenAway(t *testing.T, m *mutations, lines, others []string) {
	// The modes before have removed the lines that are the same there. Only the meaning of access
	// rules depends on the mode. Those of Basic are Digest's with another helper.
	lines = slices.DeleteFunc(lines, func(line string) bool {
		access := strings.HasPrefix(line, "http_access ") || strings.HasPrefix(line, "deny_info ")
		return slices.Contains(others, line) && (!access || m.mode.is("basic") || m.mode.is("any"))
	})
	lines = m.takeForbidden(t, lines)
	taken := 0
	try := func(what string, first string, edit func(string) string) {
		if !m.mine() {
			return
		}
		taken++
		begin := time.Now()
		problem := m.found(t, first, edit)
		if problem == "" {
			t.Errorf("%s: no check fails", what)
		}
		t.Logf("%s: %.200s (%s)", what, problem, time.Since(begin).Round(10*time.Millisecond))
	}
	for _, line := range lines {
		name := strings.TrimSpace(line)
		if words, found := begins(shortened, line); found {
			if !strings.Contains(line, words) {
				t.Errorf("%q does not hold %q", name, words)
			}
			try(name+" shortened", line, func(conf string) string {
				return strings.Replace(conf, line, strings.Replace(line, words, "", 1), 1)
			})
		}
		if _, found := begins(excused, line); !found {
			try("without "+name, line, without(line))
		}
	}
	if both := []string{"cache deny all\n", "cache_mem 0\n"}; slices.Contains(lines, both[0]) {
		try("without both lines against a cache", both[0], without(both...))
	}
	if m.mine() {
		m.control(t)
	}
	t.Logf("%d lines removed one at a time", taken)
}

// takeForbidden removes every second line with forbidden destinations, then the others, because
// each concerns other ones. It returns the lines that are left.
func (m *mutations) takeForbidden(t *testing.T, lines []string) (others []string) {
	t.Helper()
	var halves [2][]string
	for i, line := range lines {
		if strings.HasPrefix(line, "acl forbidden dst ") {
			halves[i%2] = append(halves[i%2], line)
		} else {
			others = append(others, line)
		}
	}
	for _, half := range halves {
		if len(half) == 0 || !m.mine() {
			continue
		}
		task := startTask(t, m.base.and(without(half...)))
		var reached []netip.Addr
		for _, c := range cells(t, task.Params.Auth) {
			m.w.run(func(string, ...any) {}, task, c)
			for to := range m.w.origins.Reached() {
				reached = append(reached, to.Addr())
			}
		}
		task.Kill()
		for _, line := range half {
			if !slices.ContainsFunc(reached, netip.MustParsePrefix(strings.Fields(line)[3]).Contains) {
				t.Errorf("without %q no check fails", line)
			}
		}
		t.Logf("%d lines of forbidden destinations removed at a time", len(half))
	}
	return others
}

// eachIsNeeded fails the test if a check finds nothing wrong without one of some lines.
func eachIsNeeded(t *testing.T, w *world, o taskOptions, lines []string, check func(s subject)) {
	t.Helper()
	for _, line := range lines {
		shorter := o.and(without(line))
		problem := unreadable(t, shorter)
		if problem == "" {
			task := startTask(t, shorter)
			problem = strings.Join((subject{t: t, w: w, task: task}).problems(check), "; ")
			task.Kill()
		}
		if problem == "" {
			t.Errorf("without %q no check fails", line)
		}
		t.Logf("without %q: %.200s", line, problem)
	}
}

// linesOf are the lines of a configuration without comments.
func linesOf(t *testing.T, o taskOptions) (lines []string) {
	t.Helper()
	stage(t, o.and(func(conf string) string {
		for line := range strings.Lines(conf) {
			if line != "\n" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
		return conf
	}))
	return lines
}
