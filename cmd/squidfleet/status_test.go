package main

import (
	"bytes"
	"strings"
	"testing"

	"squidfleet/internal/doctor"
)

// A screen that is drawn again begins where the last one did, so it must fit the terminal.
func TestStatusIsDrawnOverItself(t *testing.T) {
	var out bytes.Buffer
	w := statusWatch{s: &streams{out: &out, colours: true}, again: true}
	ill := one(doctor.Problem, "%s", strings.Repeat("long ", 20))
	for i, screen := range []struct {
		findings []doctor.Finding
		height   int
		want     string
	}{
		{ill, 40, "\rSquidfleet in x at 0001-01-01T00:00:00Z: \x1b[31msomething needs attention\x1b[0m\n\n" +
			"CHECK  RESULT   WHAT\n-      \x1b[31mproblem\x1b[0m  " + strings.Repeat("long ", 10) + "lo…\x1b[0m\n\n" +
			"squidfleet doctor has more, and what to do.\n\x1b[J"},
		{ill, 4, "\x1b[6A\rSquidfleet in x at 0001-01-01T00:00:00Z: \x1b[31msomething needs attention\x1b[0m\n\n" +
			"CHECK  RESULT   WHAT\n\x1b[J"},
		{nil, 40, "\x1b[3A\rSquidfleet in x at 0001-01-01T00:00:00Z: \x1b[32mall is well\x1b[0m\n\n" +
			"CHECK  RESULT  WHAT\n\x1b[J"},
	} {
		out.Reset()
		w.draw(&status{StackName: "Squidfleet", Region: "x", Findings: screen.findings},
			func() (int, int) { return 69, screen.height })
		if got := strings.ReplaceAll(out.String(), "\x1b[K", ""); got != screen.want {
			t.Errorf("screen %d is %q,\nwant %q", i, got, screen.want)
		}
	}
}
