package integration

import (
	"fmt"
	"net/http"
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
	for name, want := range map[string][]string{
		"WhoUsedAnAddress": {"bob origin.example:443 3", "bob garbage.example 1"},
		"WhatAUserDid": {"CONNECT 200", "CONNECT 200", "CONNECT 200", "CONNECT 403", "GET 502", "GET 503",
			"GET 503"},
		"TopDestinations":  {"origin.example 3", "origin.example:443 3", "garbage.example 1"},
		"RequestsByStatus": {"200 5", "403 1", "407 17", "502 1", "503 3"},
		"TopUsers":         {"bob 4", "alice 3"},
		"FailuresByDestination": {
			"nowhere.example 503 2", "garbage.example 502 1",
		},
		"Guessers": {"wrong-password 2", "unknown-user 1"},
	} {
		i := slices.IndexFunc(logquery.Queries, func(q logquery.Query) bool { return q.ID == name })
		query := strings.NewReplacer(logquery.Address, "198.51.100.2", logquery.User, "bob").Replace(
			logquery.Queries[i].Text)
		rows, err := logquery.Run(query, logquery.Read(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, row := range rows {
			var words []string
			for member := range strings.FieldsSeq("user method host auth status requests failures guesses") {
				if row[member] != nil && (name != "WhatAUserDid" || member == "method" || member == "status") {
					words = append(words, fmt.Sprint(row[member]))
				}
			}
			got = append(got, strings.Join(words, " "))
		}
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, f := range logquery.Filters {
		lines, err := logquery.Match(f.Pattern, logquery.Read(text))
		want := map[string]int{logquery.Guesses: 3, logquery.Requests: 9, logquery.Failures: 3}[f.Metric]
		if err != nil || len(lines) != want {
			t.Errorf("%s: %d lines, %v; want %d: %v", f.Metric, len(lines), err, want, lines)
		}
	}
	if len(logquery.Queries) != 7 || len(logquery.Filters) != 3 {
		t.Error("a query or a filter is not tried")
	}
}
