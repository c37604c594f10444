package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"squidfleet/internal/local"
)

// localScreen shows a local fleet: on a terminal as a table that is drawn again and again,
// otherwise as a line for each event.
type localScreen struct {
	s    *streams
	json bool
	live bool // the table
	size func() (width, height int)

	mu     sync.Mutex
	drawn  int    // lines of the table that stand on the screen
	latest string // what happened last
	begun  bool   // the table is being drawn: events are written below it
	ended  bool   // nothing is drawn any more
}

// redraw is how often the table is drawn.
const redraw = 500 * time.Millisecond

func newLocalScreen(s *streams, json bool) *localScreen {
	return &localScreen{s: s, json: json, live: s.colours && !json, size: func() (int, int) {
		width, height, err := term.GetSize(int(os.Stdout.Fd()))
		if err != nil {
			return 80, 24
		}
		return width, height
	}}
}

// clock is the form of the times.
const clock = "15:04:05"

// note writes a remark for people.
func (l *localScreen) note(format string, arguments ...any) {
	fmt.Fprintf(l.s.err, format+"\n", arguments...)
}

// event is called by the fleet.
func (l *localScreen) event(e local.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.json:
		// A reader that went away is noticed by the process's end of the pipe.
		_ = l.s.jsonLine(e)
	case l.live && l.begun && !l.ended:
		l.latest = e.Time.Format(clock) + " " + e.String()
	default:
		fmt.Fprintf(l.s.out, "%s %s\n", e.Time.Format(clock), printable(e.String()))
	}
}

// ready says what to paste.
func (l *localScreen) ready(w localWelcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.json {
		return l.s.jsonLine(w)
	}
	out := l.s.out
	fmt.Fprintf(out, "\nThe fleet listens on %s; rotation every %s; AWS's times, %v times as fast.\n", w.Endpoint,
		w.RotateEvery, w.Speed)
	fmt.Fprintf(out, "Paste into another terminal, to see the addresses change from connection to connection:\n\n")
	fmt.Fprintf(out, "  for i in 1 2 3 4 5 6; do %s; done\n\n", w.Curl)
	if w.users[0].variable != "" {
		fmt.Fprintf(out, "The passwords are the image's: the other terminal needs the same variables.\n")
	}
	for _, u := range w.users[1:] {
		if u.variable != "" {
			fmt.Fprintf(out, "User %s has the password in $%s\n", u.name, u.variable)
		} else {
			fmt.Fprintf(out, "User %s has the password %s\n", u.name, u.password)
		}
	}
	_, err := fmt.Fprintf(out, "Ctrl-C ends everything.\n\n")
	l.begun = true
	return err
}

// localFleet is what is shown.
type localFleet interface {
	Tasks() []local.TaskStatus
	Broken() <-chan error
	Rotate(context.Context) (local.Rotation, error)
	Close() error
}

// watch shows the fleet, and rotates it, until ctx ends or the fleet is broken.
func (l *localScreen) watch(ctx context.Context, fleet localFleet, every time.Duration) error {
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	var next time.Time
	var due <-chan time.Time
	plan := func() {
		if every > 0 {
			next = time.Now().Add(every)
			due = time.After(every)
		}
	}
	plan()
	rotated := make(chan error, 1)
	rotating := false
	defer func() {
		l.end()
		if rotating {
			fleet.Close() // It ends the rotation. Its errors come again when its owner closes it.
			<-rotated
		}
	}()
	for {
		l.draw(fleet, next)
		select {
		case <-ctx.Done():
			return nil
		case err := <-fleet.Broken():
			return err
		case <-ticker.C:
		case <-due:
			if plan(); rotating {
				l.event(
					local.Event{Time: time.Now(), Kind: local.RotationLeftOut, Detail: "the last one is not over"})
				break
			}
			rotating = true
			go func() {
				_, err := fleet.Rotate(ctx)
				rotated <- err
			}()
		case <-rotated: // If it failed, the event has said why. The old tasks go on.
			rotating = false
		}
	}
}

// draw draws the table in place of the one before.
func (l *localScreen) draw(fleet interface{ Tasks() []local.TaskStatus }, next time.Time) {
	if !l.live {
		return
	}
	tasks := fleet.Tasks()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	width, height := l.size()
	var b bytes.Buffer
	table := *l.s
	table.out = &b
	rows, hidden := localRows(tasks, max(height-6, 1))
	table.table(rows)
	if hidden > 0 {
		fmt.Fprintf(&b, "and %d more\n", hidden)
	}
	b.WriteString("\n" + localSummary(tasks, next) + "\n" + printable(l.latest) + "\n")

	var text string
	for line := range strings.Lines(b.String()) {
		text += cut(strings.TrimSuffix(line, "\n"), width) + "\n"
	}
	var frame strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&frame, "\x1b[%dA", l.drawn)
	}
	frame.WriteString("\r" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J")
	l.drawn = strings.Count(text, "\n")
	fmt.Fprint(l.s.out, frame.String())
}

// end leaves the table as it is. Later events are written as lines.
func (l *localScreen) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// localRows are the table's, at most as many as there is room for.
func localRows(tasks []local.TaskStatus, room int) (rows [][]cell, hidden int) {
	rows = [][]cell{
		{
			plain("TASK"), plain("ADDRESS"), plain("ZONE"), plain("AGE"), plain("STATE"), plain("OPEN"),
			plain("REQUESTS"),
		},
	}
	colours := map[local.Phase]colour{
		local.PhaseStarting: yellow, local.PhaseServing: green, local.PhaseDraining: yellow,
		local.PhaseStopping: red,
	}
	for i, t := range tasks {
		if i == room {
			return rows, len(tasks) - room
		}
		since := ""
		if !t.Started.IsZero() {
			since = age(time.Since(t.Started))
		}
		rows = append(rows, []cell{
			plain(t.ID), plain(t.Address.String()), plain(t.Zone), plain(since), {string(t.Phase), colours[t.Phase]},
			plain(fmt.Sprint(t.Open)), plain(fmt.Sprint(t.Requests)),
		})
	}
	return rows, 0
}

func localSummary(tasks []local.TaskStatus, next time.Time) string {
	var open, serving int
	for _, t := range tasks {
		open += t.Open
		if t.Phase == local.PhaseServing {
			serving++
		}
	}
	line := fmt.Sprintf("%d in service, %d connections", serving, open)
	if !next.IsZero() {
		line += ", rotation in " + max(time.Until(next), 0).Round(time.Second).String()
	}
	return line
}

// cut shortens a line to a terminal's width: a longer one would take two lines and spoil the place
// of the table. Colours take no room.
func cut(line string, width int) string {
	var b strings.Builder
	room, escape := width, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case room == 1 && visible(line[i:]) > 1:
			b.WriteString("…")
			if strings.ContainsRune(b.String(), '\x1b') {
				b.WriteString("\x1b[0m")
			}
			return b.String()
		default:
			room--
		}
		b.WriteRune(r)
	}
	return b.String()
}

// visible is how many columns a line takes.
func visible(line string) (columns int) {
	escape := false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			columns++
		}
	}
	return columns
}
