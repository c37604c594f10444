package integration

import (
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/rig"
	"squidfleet/params"
)

// isRule says whether a line of squid.conf decides on a request, on a header or on the log. The other lines define names, size limits and the process.
func isRule(line string) bool {
	directive, _, _ := strings.Cut(line, " ")
	switch directive {
	case "http_access", "never_direct", "proxy_protocol_access", "deny_info", "request_header_access", "request_header_add", "reply_header_access",
		"forwarded_for", "global_internal_static", "strip_query_terms", "access_log":
		return true
	}
	return strings.HasPrefix(line, "acl forbidden dst ")
}

// equivalent are the rules without which Squid does the same, and why they are written all the same.
var equivalent = map[string]string{
	"http_access deny all\n": "behind an allow, what matches nothing is denied anyway; the reader need not know that",
}

// firstProblem is what the other tests find first in a task; empty if they find nothing. The task has port 81 for plain requests, and counts the VPC among its clients.
func firstProblem(t *testing.T, w *world, task *rig.Task) string {
	t.Helper()
	for _, look := range []func() []string{
		func() []string { return healthProblems(task) },
		func() []string { return anonymityProblems(w, task) },
		func() []string { return logProblems(w, task) },
	} {
		if problems := look(); len(problems) > 0 {
			return problems[0]
		}
	}
	for _, c := range cells(t) {
		if problem := w.run(task, c); problem != "" {
			return problem
		}
	}
	for _, problem := range crowdProblems(task) {
		return problem
	}
	if task.Params.Digest == params.DigestFleet {
		for _, problem := range guessingProblems(task) {
			return problem
		}
	}
	return ""
}

// Each rule of the configuration is there for something: without it, and with all others, something comes out wrong.
func TestNoRuleCanBeTakenAway(t *testing.T) {
	inBothModes(t, noRuleCanBeTakenAway)
}

func noRuleCanBeTakenAway(t *testing.T, mode map[string]any) {
	w := newWorld(t)
	// The VPC is among the clients, as with an office that is connected to it: what keeps the load balancer's own connections out is then a rule of its own.
	base := options(map[string]any{"httpPorts": "80,81", "clientCidrs": "198.51.100.0/24,2600:1700:1::/48,10.0.0.0/16", "digest": mode["digest"]})
	var rules []string
	collect := base
	collect.Edit = func(conf string) string {
		for line := range strings.Lines(conf) {
			if isRule(line) {
				rules = append(rules, line)
			}
		}
		return conf
	}
	task := rig.StartTask(t, collect)
	if problem := firstProblem(t, w, task); problem != "" {
		t.Fatalf("with all rules: %s", problem)
	}
	task.Kill()
	if len(rules) < 50 {
		t.Fatalf("only %d rules", len(rules))
	}
	for _, rule := range rules {
		name := strings.TrimSpace(rule)
		if reason := equivalent[rule]; reason != "" {
			t.Logf("%q is not taken away: %s", name, reason)
			continue
		}
		without := func(conf string) string {
			lines := strings.SplitAfter(conf, "\n")
			at := slices.Index(lines, rule)
			return strings.Join(slices.Delete(lines, at, at+1), "")
		}
		o, look := base, firstProblem
		o.Edit = without
		if strings.HasPrefix(rule, "never_direct ") {
			o = slowStep(without)
			look = func(_ *testing.T, w *world, task *rig.Task) string {
				return strings.Join(rebindingProblems(w, task), "; ")
			}
		}
		if rule == "http_access deny health !authenticated\n" && mode["digest"] == "fleet" {
			if problems := brokenHealthProblems(t, base, without); len(problems) > 0 {
				t.Logf("without %q: %.160s", name, problems[0])
			} else {
				t.Errorf("without %q nothing comes out wrong", name)
			}
			continue
		}
		if strings.Contains(rule, "ERR_UNAVAILABLE") || rule == "http_access deny !authenticated\n" && mode["digest"] == "fleet" {
			// What these are for shows with a broken helper only.
			if problems := brokenHelperProblems(t, w, base, without); len(problems) > 0 {
				t.Logf("without %q: %.160s", name, problems[0])
			} else {
				t.Errorf("without %q nothing comes out wrong", name)
			}
			continue
		}
		mutant, err := rig.TryTask(t, o)
		if err != nil {
			t.Logf("without %q: does not start", name)
			continue
		}
		problem := look(t, w, mutant)
		mutant.Kill()
		if problem == "" {
			t.Errorf("without %q nothing comes out wrong", name)
			continue
		}
		t.Logf("without %q: %.160s", name, problem)
	}
	t.Logf("%d rules", len(rules))
}

// The rule order of the usual recipe, in which whoever has a password is allowed before anything else is asked, fails the same matrix.
func TestTheMatrixFindsTheLeaksOfTheUsualRuleOrder(t *testing.T) {
	w := newWorld(t)
	o := options(map[string]any{"digest": "squid"})
	o.Edit = func(conf string) string {
		var kept []string
		for line := range strings.Lines(conf) {
			if !strings.HasPrefix(line, "never_direct ") {
				kept = append(kept, line)
			}
		}
		return strings.Replace(strings.Join(kept, ""), "http_access deny load_balancer\n", "http_access allow authenticated\nhttp_access deny load_balancer\n", 1)
	}
	task := rig.StartTask(t, o)
	leaks := map[string]int{}
	for _, c := range cells(t) {
		if problem := w.run(task, c); strings.Contains(problem, "was reached") {
			leaks[c.who.name]++
		}
	}
	t.Logf("forbidden destinations reached, by client: %v", leaks)
	if leaks["alice"] < 100 {
		t.Errorf("only %d forbidden destinations were reached: the matrix cannot tell", leaks["alice"])
	}
	if leaks["outside clientCidrs"] == 0 {
		t.Error("a client outside clientCidrs did not get through: the matrix cannot tell")
	}
}
