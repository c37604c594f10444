package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/baseimage/standin"
	"squidfleet/internal/doctor"
	"squidfleet/internal/operator"
)

// A screen that is drawn again begins where the last one did, so it must fit the terminal.
func TestStatusIsDrawnOverItself(t *testing.T) {
	var out bytes.Buffer
	w := statusWatch{s: &streams{out: &out, colours: true}, again: true}
	height := 0
	w.size = func() (int, int) { return 69, height }
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
		height, w.now = screen.height, status{StackName: "Squidfleet", Region: "x", Findings: screen.findings}
		w.draw()
		if got := strings.ReplaceAll(out.String(), "\x1b[K", ""); got != screen.want {
			t.Errorf("screen %d is %q,\nwant %q", i, got, screen.want)
		}
	}
}

func TestTheRegistryIsAskedOnceAnHour(t *testing.T) {
	registry := standin.New()
	defer registry.Close()
	for _, tag := range []string{"trixie-20260918", "trixie-20261016", "trixie"} {
		if _, err := registry.Push(t.Context(), tag, time.Now(), "amd64"); err != nil {
			t.Fatal(err)
		}
	}
	var w statusWatch
	for _, look := range []struct {
		tag   string
		later time.Duration // than the look before
		asked bool
	}{
		{"trixie-20260918", 0, true},
		{"trixie-20260918", 59 * time.Minute, false},
		{"trixie-20260918", time.Hour, true},
		{"trixie-20261016", time.Minute, true},
		{"bookworm-20260918", time.Minute, true}, // is not there
		{"bookworm-20260918", time.Minute, true},
	} {
		registry.Asked()
		w.askedAt = w.askedAt.Add(-look.later)
		base := registry.Repository + ":" + look.tag
		w.ask(t.Context(), operator.Image{Registered: time.Now(), Base: base, Architecture: "amd64"})
		found, err := w.base(t.Context())
		there := strings.HasPrefix(look.tag, "trixie")
		if err != nil || (w.now.Base != nil) != there || there && w.now.Base.Name != base {
			t.Errorf("%+v: %v, %v", look, found, err)
		}
		if asked := len(registry.Asked()) > 0; asked != look.asked {
			t.Errorf("%+v: asked %t", look, asked)
		}
	}
}
