package operator

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
)

func TestPattern(t *testing.T) {
	egress := netip.MustParseAddr("198.51.100.7")
	for want, q := range map[string]LogQuery{
		"":                                {},
		`{ ($.egress = "198.51.100.7") }`: {Egress: egress},
		`{ ($.egress = "198.51.100.7") && ($.user = "a@b") && ` +
			`(($.status = 407) || (($.status >= 500) && ($.status <= 599))) }`: {
			Egress: egress, User: "a@b", Statuses: []Status{{407, 407}, {500, 599}},
		},
	} {
		if got := q.pattern(); got != want {
			t.Errorf("%+v: %s", q, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	for text, want := range map[string]Status{
		"407": {407, 407}, "4xx": {400, 499}, "5XX": {500, 599}, "1xx": {100, 199},
		"000": {0, 0}, "0xx": {0, 99}, "100": {100, 100}, "599": {599, 599},
	} {
		if got, err := ParseStatus(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "xx", "4x", "44xx", "axx", "40", "4070", "-40", "+40", "4.5", "6xx", "9xx", "099", "600", "999", "4000xx",
	} {
		if got, err := ParseStatus(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Without it, following a rare line would read hours of the log every two seconds.
func TestFollowingReadsOnlyWhatMayBeNew(t *testing.T) {
	f, aws := connect(t)
	must.OK(t, aws.Log("198.51.100.1", `{"method":"GET","user":"alice"}`, time.Hour-time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	lines := 0
	begun := time.Now()
	err := f.Logs(ctx, LogQuery{From: begun.Add(-time.Hour), Follow: true, User: "alice"}, nil,
		func(Event) error { lines++; return nil })
	if !errors.Is(err, context.DeadlineExceeded) || lines != 1 {
		t.Errorf("%d lines, error %v", lines, err)
	}
	var from []time.Duration
	for _, input := range aws.Inputs("logs:FilterLogEvents") {
		from = append(from, begun.Sub(time.UnixMilli(int64(input["startTime"].(float64)))))
	}
	last := from[len(from)-1]
	if first := from[0].Round(time.Second); first != time.Hour {
		t.Errorf("the first look began %v ago", first)
	}
	if want := allowance; last > want || last < want-time.Second {
		t.Errorf("the last look of %d began %v before the first, want a little less than %v", len(from), last, want)
	}
}

func TestQueriesThatCloudWatchLogsTakes(t *testing.T) {
	q := LogQuery{User: strings.Repeat("u", 100)}
	for len(q.pattern()) <= patternMax {
		if err := q.Check(); err != nil {
			t.Fatalf("%d characters: %v", len(q.pattern()), err)
		}
		q.Statuses = append(q.Statuses, Status{407, 407})
	}
	if err := q.Check(); err == nil {
		t.Errorf("%d characters are taken", len(q.pattern()))
	}
}

func TestParseLine(t *testing.T) {
	for _, message := range []string{
		"", "entrypoint: SIGTERM", "{", "{}", `{"status":200}`, `{"method":1}`, "[]", "null",
	} {
		if l := parseLine(message); l != nil {
			t.Errorf("%q is a request: %+v", message, l)
		}
	}
	l := parseLine(
		`{"egress":"-","method":"GET","url":"http://x.example/%25zz%22%0A%FF","user":"a%2Bb","userAgent":"100%"}`)
	if l == nil || l.URL != "http://x.example/%zz\"\n\xff" || l.User != "a+b" || l.UserAgent != "100%" {
		t.Errorf("%+v", l)
	}
}

func TestDecodeTakesCutStrings(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "-": "-", "%": "%", "a%2": "a%2", "%41%4": "A%4", "%zz%41": "%zzA", "%+1": "%+1", "%25%32%35": "%25",
	} {
		if got := decode(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
