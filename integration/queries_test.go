package integration

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/logquery"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

// Each saved query and each filter finds what it is for in a log of a real Squid, and nothing else.
func TestQueriesFindWhatTheyAreFor(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/busy") {
			rw.WriteHeader(http.StatusServiceUnavailable) // the destination's own
		}
		w.answer(rw, r)
	}))
	o := options(nil)
	o.Environment = []string{container.EnvMetrics + "=Fleet-1", container.EnvMetricsEvery + "=100ms"}
	task := startTask(t, o)
	alice := client(task)
	bob, mistaken, unknown, nobody := alice, alice, alice, anonymous(task)
	bob.User, bob.Password, bob.Header = "bob", "another password", elsewhere()
	mistaken.Password, mistaken.Header = "wrong", elsewhere()
	unknown.User, unknown.Header = "carol", elsewhere()
	ask := func(times int, c rig.Client, method, target string) {
		t.Helper()
		for range times {
			_, err := c.Request(method, target)
			must.OK(t, err)
		}
	}
	ask(2, alice, "GET", "http://origin.example/a?b")
	ask(1, alice, "GET", "http://origin.example/busy")
	ask(3, bob, "CONNECT", "origin.example:443")
	ask(1, bob, "CONNECT", "10.9.8.7:443")
	ask(2, bob, "GET", "http://nowhere.example/")
	ask(1, bob, "GET", "http://garbage.example:80/")
	ask(2, mistaken, "GET", "http://origin.example/")
	ask(1, unknown, "GET", "http://origin.example/")
	ask(1, nobody, "GET", "http://origin.example/")
	task.WaitForLog(t, container.MetricsBegin)
	task.Stop(t)
	text := task.Log()
	if !slices.ContainsFunc(text, func(l string) bool { return strings.HasPrefix(l, container.MetricsBegin) }) {
		t.Fatal("no line with figures, which no query may take for a request")
	}
	// The task does not learn its address here. Bob's lines are those of another.
	for i, line := range text {
		egress := "198.51.100.1"
		if strings.Contains(line, `"user":"bob"`) {
			egress = "198.51.100.2"
		}
		text[i] = strings.Replace(line, `"egress":"-"`, `"egress":"`+egress+`"`, 1)
	}
	// log_test.go has the real one.
	text = append(text, `{"egress":"-","user":"*","auth":"throttled","status":429,"suppressed":7}`)
	for name, want := range map[string][]string{
		"WhoUsedAnAddress":      {"bob origin.example:443 3", "bob garbage.example 1"},
		"WhatAUserDid":          {"CONNECT 200 3", "CONNECT 403 1", "GET 502 1", "GET 503 2"},
		"TopDestinations":       {"origin.example 3", "origin.example:443 3", "garbage.example 1"},
		"RequestsByStatus":      {"200 5", "403 1", "407 17", "502 1", "503 3"},
		"TopUsers":              {"bob 4", "alice 3"},
		"FailuresByDestination": {"nowhere.example 503 2", "garbage.example 502 1"},
		"Guessers":              {"wrong-password 2", "unknown-user 1", "throttled 1"},
	} {
		i := slices.IndexFunc(logquery.Queries, func(q logquery.Query) bool { return q.ID == name })
		query := strings.NewReplacer(logquery.Address, "198.51.100.2", logquery.User, "bob").Replace(
			logquery.Queries[i].Text)
		got := rowsOf(t, query, logquery.Read(text))
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, f := range logquery.Filters {
		lines, err := logquery.Match(f.Pattern, logquery.Read(text))
		want := map[string]int{logquery.Guesses: 4, logquery.Requests: 9, logquery.Failures: 3}[f.Metric]
		if err != nil || len(lines) != want {
			t.Errorf("%s: %d lines, %v; want %d: %v", f.Metric, len(lines), err, want, lines)
		}
	}
	if len(logquery.Queries) != 7 || len(logquery.Filters) != 3 {
		t.Error("a query or a filter is not tried")
	}
}

// rowsOf are the rows that a query shows, as far as filter, parse and the groups of stats make
// them, with the number of lines in each. The test fails at a name that no line of the log has.
func rowsOf(t *testing.T, query string, lines []logquery.Line) (rows []string) {
	known := "fields stats by sort desc limit as count count_distinct sum earliest latest coalesce timestamp"
	for _, l := range lines {
		known += " " + strings.Join(slices.Collect(maps.Keys(l)), " ")
	}
	words, aliases := regexp.MustCompile(`[a-zA-Z]\w*`), regexp.MustCompile(` as (\w+)`)
	var groups string
	for _, command := range strings.Split(regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(query, ""), "\n| ") {
		verb, rest, _ := strings.Cut(strings.Join(strings.Fields(command), " "), " ")
		switch verb {
		case "filter":
			var err error
			lines, err = logquery.Kept(rest, lines)
			must.OK(t, err)
			continue
		case "parse":
			field, pattern, _ := strings.Cut(rest, " ")
			expression := regexp.MustCompile(strings.Trim(pattern, "/"))
			for _, l := range lines {
				text, _ := l[field].(string)
				if found := expression.FindStringSubmatch(text); found != nil {
					l[expression.SubexpNames()[1]] = found[1]
				}
			}
			known += " " + expression.SubexpNames()[1]
			continue
		case "stats":
			_, groups, _ = strings.Cut(rest, " by ")
		}
		for _, alias := range aliases.FindAllStringSubmatch(rest, -1) {
			known += " " + alias[1]
		}
		for _, word := range words.FindAllString(verb+" "+rest, -1) {
			if !slices.Contains(strings.Fields(known), word) {
				t.Errorf("no line has %s, or it is no word of a query: %s", word, command)
			}
		}
	}
	counts := map[string]int{}
	for _, l := range lines {
		var words []string
		for member := range strings.FieldsSeq("user method host auth status") {
			if slices.Contains(strings.Split(cmp.Or(groups, "method, status"), ", "), member) {
				words = append(words, fmt.Sprint(l[member]))
			}
		}
		counts[strings.Join(words, " ")]++
	}
	for row, count := range counts {
		rows = append(rows, fmt.Sprint(row, " ", count))
	}
	return rows
}
