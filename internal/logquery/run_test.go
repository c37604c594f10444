package logquery

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
)

var log = Read([]string{
	`{"user":"a","n":1,"auth":"throttled"}`, `squid: not JSON`, `{"user":"b","n":2}`,
	`{"egress":"-","user":"*","auth":"throttled","status":429,"suppressed":7}`, `{"user":"a","n":4}`,
})

func TestRun(t *testing.T) {
	for _, c := range []struct {
		query string
		want  []Line
	}{
		{"filter user = \"a\" and n > 1\n| fields n", []Line{{"n": 4., "@timestamp": 4.}}},
		{"filter n in [1, 2] or n <= 4 and user = \"none\"\n| stats sum(n) as s, count(*) as c by auth",
			[]Line{{"auth": "throttled", "s": 1., "c": 1.}, {"s": 2., "c": 1.}}},
		{"# a remark\nfilter ispresent(n) and n != 2\n| stats earliest(n) as e, latest(n) as l by user",
			[]Line{{"user": "a", "e": 1., "l": 4.}}},
		{"filter (user = \"a\" or user = \"b\") and n >= 2\n| parse user /^(?<host>.)/\n| stats count(*) as c by host" +
			"\n| sort c desc\n| limit 1", []Line{{"host": "b", "c": 1.}}},
		// A line that counts refusals stands for as many.
		{Queries[slices.IndexFunc(Queries, func(q Query) bool { return q.ID == "Guessers" })].Text +
			"\n| fields guesses\n| limit 1", []Line{{"guesses": 8.}}},
	} {
		if got, err := Run(c.query, clone(log)); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.query, got, err, c.want)
		}
	}
}

func clone(lines []Line) (all []Line) {
	for _, l := range lines {
		copied := Line{}
		for key, value := range l {
			copied[key] = value
		}
		all = append(all, copied)
	}
	return all
}

// What is not known, or not documented, is an error and no answer.
func TestRunRefuses(t *testing.T) {
	for _, query := range []string{
		"dedup user", "filter n != 2", `filter user > 2`, "filter n = 1 n", "filter (n = 1", "filter n ~ 1",
		"filter n = 1 && n = 2", "stats max(n) as m by user", "sort n", "limit x", "parse user /(/",
	} {
		if got, err := Run(query, clone(log)); err == nil {
			t.Errorf("%s: %v", query, got)
		}
	}
	for _, pattern := range []string{"throttled", `{ $.n != 2 }`, `{ $.n = 1 and $.n = 2 }`} {
		if got, err := Match(pattern, log); err == nil {
			t.Errorf("%s: %v", pattern, got)
		}
	}
	if got, err := Match(`{ ($.n >= 0) && ($.n != 2) || $.auth = "thr*" }`, log); err != nil || len(got) != 3 {
		t.Error(fmt.Sprint(got, err))
	}
}
