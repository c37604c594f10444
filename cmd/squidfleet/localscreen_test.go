package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/squid"
)

func localTasks(n int) (all []local.Task) {
	for i := range n {
		all = append(all, local.Task{ID: "task-" + string(rune('1'+i)), Address: netip.AddrFrom4([4]byte{127, 77, 1, byte(1 + i)}), Zone: "a", Phase: local.PhaseServing, Started: time.Now(), Open: 2, Requests: 7})
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
	for text, want := range map[string]string{"12345": "12345", "123456": "1234…", "äöüßéè": "äöüß…"} {
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

// Without a terminal, with NO_COLOR and with --json there is no table, and no code that moves a cursor.
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
	if err := screen.ready(localWelcome{users: []squid.Credential{{User: "proxy", Password: "open sesame"}}}); err != nil {
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
	if want := "\x1b[" + string(rune('0'+before)) + "A\r"; !strings.HasPrefix(out.String(), want) || !strings.Contains(out.String(), "rotation began") || !strings.HasSuffix(out.String(), "\x1b[J") {
		t.Errorf("%q does not begin with %q, or lacks the event", out.String(), want)
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
type shown []local.Task

func (s shown) Tasks() []local.Task { return s }

func TestCommandsToPasteAreQuoted(t *testing.T) {
	for word, want := range map[string]string{"proxy:ABC": "proxy:ABC", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'", "": "''"} {
		if got := shellWord(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
