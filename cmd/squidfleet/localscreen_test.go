package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/internal/paste"
	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

func localTasks(n int) (all []local.TaskStatus) {
	for i := range n {
		all = append(
			all,
			local.TaskStatus{
				ID: "task-" + string(rune('1'+i)), Address: netip.AddrFrom4([4]byte{127, 77, 1, byte(1 + i)}),
				Zone: "a", Phase: local.PhaseServing, Started: time.Now(), Open: 2, Requests: 7,
			},
		)
	}
	return all
}

func TestLocalTableFitsTheTerminal(t *testing.T) {
	for room, want := range map[int]int{5: 0, 3: 0, 2: 1, 1: 2} {
		rows, hidden := localRows(localTasks(3), room)
		if hidden != want || len(rows) != 1+3-want {
			t.Errorf("room for %d: %d rows, %d hidden", room, len(rows), hidden)
		}
	}
	for text, want := range map[string]string{
		"12345": "12345", "123456": "1234…", "äöüßéè": "äöüß…", "": "",
		"\x1b[32m12345\x1b[0m": "\x1b[32m12345\x1b[0m", "1\x1b[32m23456\x1b[0m7": "1\x1b[32m234…\x1b[0m",
	} {
		if got := cut(text, 5); got != want {
			t.Errorf("%q cut is %q, want %q", text, got, want)
		}
	}
	tasks := localTasks(3)
	tasks[0].Phase = local.PhaseDraining
	if got := localSummary(tasks, time.Time{}); got != "2 in service, 6 connections" {
		t.Error(got)
	}
	if got := localSummary(tasks, time.Now().Add(-time.Minute)); got != "2 in service, 6 connections, rotation in 0s" {
		t.Error(got)
	}
}

// Without a terminal, with NO_COLOR and with --json no table and no code that moves a cursor is
// written.
func TestLocalTellsEventsInLinesElsewhere(t *testing.T) {
	e := local.Event{Time: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Kind: local.Serving, Task: &localTasks(1)[0]}
	for name, c := range map[string]struct {
		colours, json bool
		want          string
	}{
		"plain":    {false, false, "03:02:01 task-1 127.77.1.1 serving\n"},
		"json":     {false, true, `{"time":"2026-05-04T03:02:01Z","event":"serving","task":{"id":"task-1"`},
		"json tty": {true, true, `{"time":"2026-05-04T03:02:01Z","event":"serving","task":{"id":"task-1"`},
	} {
		var out bytes.Buffer
		screen := newLocalScreen(&streams{out: &out, err: &out, colours: c.colours}, c.json)
		screen.begun = true
		screen.event(e)
		if !strings.HasPrefix(out.String(), c.want) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: %q, want %q", name, out.String(), c.want)
		}
	}
}

func TestLocalTableIsDrawnInItsOwnPlace(t *testing.T) {
	var out bytes.Buffer
	screen := newLocalScreen(&streams{out: &out, err: &out, colours: true}, false)
	screen.size = func() (int, int) { return 80, 24 }
	if err := screen.ready(localWelcome{users: []localUser{{name: "proxy", password: "open sesame"}}}); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	screen.draw(shown(localTasks(2)), time.Time{})
	if lines := strings.Count(out.String(), "\n"); lines != screen.drawn || strings.Contains(out.String(), "A\r") {
		t.Errorf("%d lines, %d noted: %q", lines, screen.drawn, out.String())
	}
	out.Reset()
	before := screen.drawn
	screen.event(local.Event{Kind: local.RotationBegan})
	if out.Len() > 0 {
		t.Errorf("an event in the middle of the table: %q", out.String())
	}
	screen.draw(shown(localTasks(3)), time.Time{})
	if want := "\x1b[" + string(rune('0'+before)) + "A\r"; !strings.HasPrefix(out.String(), want) ||
		!strings.Contains(out.String(), "rotation began") ||
		!strings.HasSuffix(out.String(), "\x1b[J") {
		t.Errorf("%q does not begin with %q, or lacks the event", out.String(), want)
	}
	// A line that a narrow terminal wraps would take two.
	screen.size = func() (int, int) { return 20, 24 }
	out.Reset()
	screen.draw(shown(localTasks(3)), time.Now())
	_, table, _ := strings.Cut(out.String(), "\r")
	for line := range strings.Lines(table) {
		if line = strings.TrimSuffix(line, "\x1b[K\n"); line != "\x1b[J" && visible(line) > 20 {
			t.Errorf("%q is longer than the terminal is wide", line)
		}
	}
	screen.end()
	out.Reset()
	screen.draw(shown(localTasks(3)), time.Time{})
	screen.event(local.Event{Kind: local.RotationEnded})
	if got := out.String(); !strings.HasSuffix(got, " rotation ended\n") || strings.Contains(got, "\x1b") {
		t.Errorf("after the end: %q", got)
	}
}

// shown is a fleet that has just these tasks.
type shown []local.TaskStatus

func (s shown) Tasks() []local.TaskStatus { return s }

// idle is a fleet whose rotations never end.
type idle struct {
	shown
	broken chan error
	closed chan struct{}
}

func (f idle) Broken() <-chan error { return f.broken }
func (f idle) Rotate(context.Context) (local.Rotation, error) {
	<-f.closed
	return local.Rotation{}, errors.New("the fleet was closed")
}
func (f idle) Close() error { close(f.closed); return nil }

func TestLocalLeavesARotationOutThatTheLastOneIsInTheWayOf(t *testing.T) {
	for name, want := range map[string]string{
		"lines": " rotation left out: the last one is not over\n",
		"json":  `"event":"rotation left out","detail":"the last one is not over"`,
	} {
		var out, err strings.Builder
		screen := newLocalScreen(&streams{out: &out, err: &err}, name == "json")
		fleet := idle{shown(localTasks(1)), make(chan error), make(chan struct{})}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := screen.watch(ctx, fleet, 10*time.Millisecond); err != nil {
			t.Error(err)
		}
		if !strings.Contains(out.String(), want) || err.Len() > 0 {
			t.Errorf("%s: %q, and stderr %q; want %q on stdout", name, &out, &err, want)
		}
	}
}

func TestLocalEndsWhenTheFleetCannotGoOn(t *testing.T) {
	var out strings.Builder
	fleet := idle{shown(localTasks(1)), make(chan error, 1), make(chan struct{})}
	fleet.broken <- errors.New("no task starts any more")
	if err := newLocalScreen(&streams{out: &out, err: &out}, false).watch(t.Context(), fleet, 0); err == nil ||
		err.Error() != "no task starts any more" {
		t.Error(err)
	}
}

// Those are real passwords, which nobody asked for.
func TestLocalDoesNotWriteThePasswordsOfAnImage(t *testing.T) {
	const endpoint = "127.0.0.1:35201"
	passwords := []squid.Credential{{User: "alice", Password: "open sesame"}, {User: "bob", Password: "s3cret&c"}}
	only := func(names ...string) func(string) (string, bool) {
		return func(name string) (string, bool) { return "", slices.Contains(names, name) }
	}
	inImage := func(users string) map[string]any { return map[string]any{"users": users, "credentials": "image"} }
	for _, c := range []struct {
		context map[string]any
		lookup  func(string) (string, bool)
		want    []paste.Via
	}{
		{inImage("alice"), only("SQUIDFLEET_PASSWORD"),
			[]paste.Via{paste.WithVariable(endpoint, "alice", "SQUIDFLEET_PASSWORD")}},
		{inImage("alice"), only("SQUIDFLEET_PASSWORD_ALICE"),
			[]paste.Via{paste.WithVariable(endpoint, "alice", "SQUIDFLEET_PASSWORD_ALICE")}},
		{
			inImage("alice,bob"), only("SQUIDFLEET_PASSWORD_ALICE", "SQUIDFLEET_PASSWORD_BOB"),
			[]paste.Via{
				paste.WithVariable(endpoint, "alice", "SQUIDFLEET_PASSWORD_ALICE"),
				paste.WithVariable(endpoint, "bob", "SQUIDFLEET_PASSWORD_BOB"),
			},
		},
		{map[string]any{"users": "alice,bob"}, only(), []paste.Via{
			paste.WithPassword(endpoint, "alice", "open sesame"), paste.WithPassword(endpoint, "bob", "s3cret&c"),
		}},
	} {
		p, err := params.Parse(c.context)
		if err != nil {
			t.Fatal(err)
		}
		plan := localPlan{users: localUsers(p, passwords[:len(c.want)], c.lookup)}
		w := welcome(&local.Fleet{Endpoint: netip.MustParseAddrPort(endpoint)}, &local.Origin{}, plan)
		var got []paste.Via
		for _, u := range w.users {
			got = append(got, u.via(endpoint))
		}
		if !slices.Equal(got, c.want) || !strings.Contains(w.Curl, string(c.want[0])) {
			t.Errorf("%v: %q in %s, want %q", c.context, got, w.Curl, c.want)
		}
		for _, json := range []bool{false, true} {
			var out strings.Builder
			if err := newLocalScreen(&streams{out: &out, err: &out}, json).ready(w); err != nil {
				t.Error(err)
			}
			shown := strings.Contains(out.String(), "sesame")
			if shown != (p.Credentials != container.CredentialsImage) {
				t.Errorf("%v: %s", c.context, out.String())
			}
		}
	}
}
