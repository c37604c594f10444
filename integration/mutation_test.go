package integration

import (
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
	for _, look := range looks(t, m.w, task, "") {
		if problems := look.problems(); len(problems) > 0 {
			t.Fatalf("with all lines, %s: %s", look.name, problems)
		}
	}
}

// found returns the problem of a task whose line an edit removes or changes.
func (m *mutations) found(t *testing.T, line string, edit func(string) string) (problem string) {
	t.Helper()
	helpers := m.mode["digest"] == "fleet" && m.mode["auth"] != "none"
	switch {
	case strings.Contains(line, "ERR_UNAVAILABLE"), line == "http_access deny !authenticated\n" && helpers:
		// Only a broken helper shows what these are for.
		return strings.Join(brokenHelperProblems(t, m.w, m.base, edit), "; ")
	case line == "http_access deny loopback health !authenticated\n" && helpers:
		return strings.Join(brokenHealthProblems(t, m.base, edit), "; ")
	case strings.HasPrefix(line, "external_acl_type basic_helper "):
		return strings.Join(rememberedProblems(t, m.base, edit), "; ")
	case strings.Contains(line, "proxy_internal_error"):
		return strings.Join(brokenStatusProblems(t, m.base, edit), "; ")
	case strings.Contains(line, "error=connection_timeout"), strings.Contains(line, "connection_read_timeout"):
		return strings.Join(lateStatusProblems(t, m.base, edit), "; ")
	case strings.HasPrefix(line, "never_direct "), strings.HasSuffix(line, " unforwarded bad_gateway\n"):
		for range 2 { // A busy machine may miss the moment.
			task := startTask(t, slowStep(edit))
			problems := rebindingProblems(m.w, task)
			task.Kill()
			if len(problems) > 0 {
				return strings.Join(problems, "; ")
			}
		}
	case strings.HasPrefix(line, "debug_options "):
		o := m.base
		o.Edit = edit
		task := startTask(t, o)
		defer task.Kill()
		return strings.Join(secretProblems(m.w, task), "; ")
	}
	o := m.base
	o.Edit = edit
	task, err := tryTask(t, o)
	if err != nil {
		if said := unreadable(t, o); said != "" {
			return "Squid does not read it: " + said
		}
		// That may be the test's fault, such as a port in use. It is not if the next task starts
		// and the message is the expected one.
		m.control(t)
		if says, found := begins(fatal, line); found && strings.Contains(err.Error(), says) {
			return err.Error()
		}
		t.Errorf("without %q a task does not start, for no known reason: %v", line, err)
		return err.Error()
	}
	defer task.Kill()
	for _, look := range looks(t, m.w, task, line) {
		if problems := look.problems(); len(problems) > 0 {
			return look.name + ": " + problems[0]
		}
	}
	return ""
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
	for _, l := range lists {
		lines = m.takeFromList(t, l, lines)
	}
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
	for _, group := range alternatives {
		if slices.Contains(lines, group[0]) {
			try("without "+strings.Join(group, ""), group[0], without(group...))
		}
	}
	if m.mine() {
		m.control(t)
	}
	t.Logf("%d lines removed one at a time", taken)
}

// takeFromList removes every second line of a list, then the others, and returns the lines that
// are not in the list.
func (m *mutations) takeFromList(t *testing.T, l list, lines []string) (others []string) {
	t.Helper()
	var halves [2][]string
	for _, line := range lines {
		if !l.holds(line) {
			others = append(others, line)
			continue
		}
		half := (len(halves[0]) + len(halves[1])) % 2
		halves[half] = append(halves[half], line)
	}
	for _, half := range halves {
		if len(half) == 0 || !m.mine() {
			continue
		}
		o := m.base
		o.Edit = without(half...)
		task := startTask(t, o)
		missed := l.missed(t, m.w, task)
		task.Kill()
		for _, line := range half {
			if !missed(line) {
				t.Errorf("without %q no check fails", line)
			}
		}
		t.Logf("%d lines %q removed at a time", len(half), l.beginning)
	}
	return others
}

// linesOf are the lines of a configuration without comments.
func linesOf(t *testing.T, o taskOptions) (lines []string) {
	t.Helper()
	edit := o.Edit
	o.Edit = func(conf string) string {
		if edit != nil {
			conf = edit(conf)
		}
		for line := range strings.Lines(conf) {
			if line != "\n" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
		return conf
	}
	stage(t, o)
	return lines
}
