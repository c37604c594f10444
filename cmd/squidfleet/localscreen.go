package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

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
	typed  string // so far
	begun  bool   // the table is being drawn: events are written below it
	ended  bool   // nothing is drawn any more
}

// redraw is how often the table is drawn.
const redraw = 500 * time.Millisecond

func newLocalScreen(s *streams, json bool) *localScreen {
	return &localScreen{s: s, json: json, live: s.colours && !json, size: terminalSize}
}

func terminalSize() (width, height int) {
	width, height, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 80, 24
	}
	return width, height
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
	first, last := w.Addresses[0], w.Addresses[len(w.Addresses)-1]
	fmt.Fprintf(out, "\n%s leads to any address, the ports %d to %d to one address each: %d to %d.\n", w.Endpoint,
		first.Port, last.Port, first.Number, last.Number)
	fmt.Fprintf(out, "Each is rotated every %s, one after the other; AWS's times, %v times as fast.\n", w.RotateEvery,
		w.Speed)
	if w.CA != "" {
		fmt.Fprintf(out, "Clients use https://USER:PASSWORD@%s and trust the CA in %s.\n", w.Endpoint, w.CA)
	}
	fmt.Fprintf(out, "Paste into another terminal. The address changes from connection to connection:\n\n")
	fmt.Fprintf(out, "  for i in 1 2 3 4 5 6; do %s; done\n\n", w.Curl)
	fmt.Fprintf(out, "It stays until address %d is rotated:\n\n", first.Number)
	fmt.Fprintf(out, "  for i in 1 2 3 4 5 6; do %s; done\n\n", w.CurlAddress)
	fmt.Fprintf(out, "Programs without Digest or TLS can use the proxy at 127.0.0.1:3128 that this starts:\n\n")
	fmt.Fprintf(out, "  %s\n\n", w.Relay)
	if len(w.PasswordVariables) > 0 {
		fmt.Fprintf(out, "The passwords are the image's: the other terminal needs the same variables.\n")
	}
	for _, u := range w.users[min(1, len(w.users)):] {
		if u.variable != "" {
			fmt.Fprintf(out, "User %s has the password in $%s\n", u.name, u.variable)
		} else {
			fmt.Fprintf(out, "User %s has the password %s\n", u.name, u.password)
		}
	}
	_, err := fmt.Fprintf(out, "Type rotate %d (or rotate, for all), stop %[1]d or start %[1]d. "+
		"Ctrl-C ends everything.\n\n", first.Number)
	l.begun = true
	return err
}

// localFleet is what is shown and changed.
type localFleet interface {
	Addresses() []local.AddressStatus
	Broken() <-chan error
	Rotate(ctx context.Context, numbers ...int) ([]local.Rotation, error)
	Stop(number int) error
	Start(ctx context.Context, number int) error
	Close() error
}

// watch shows the fleet, and does what is typed, until ctx ends or the fleet is broken.
func (l *localScreen) watch(ctx context.Context, fleet localFleet, stdin *os.File) error {
	restore, readable := attach(stdin, l.live)
	keys := make(chan key)
	if readable {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go readKeys(ctx, stdin, keys)
	}
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	var group sync.WaitGroup
	defer func() {
		l.end()
		restore()
		fleet.Close() // It ends what is under way. Its errors come again when its owner closes it.
		group.Wait()
	}()
	for {
		l.draw(fleet)
		select {
		case <-ctx.Done():
			return nil
		case err := <-fleet.Broken():
			return err
		case <-ticker.C:
		case k := <-keys:
			l.typed = k.line
			if k.enter {
				l.typed = ""
				group.Go(func() { l.obey(ctx, fleet, k.line) })
			}
		}
	}
}

// obey does what a typed line says. A rotation's events say how it went.
func (l *localScreen) obey(ctx context.Context, fleet localFleet, line string) {
	verb, numbers, err := parseCommand(line, len(fleet.Addresses()))
	switch {
	case err != nil:
		l.remark(err)
	case verb == "rotate":
		_, _ = fleet.Rotate(ctx, numbers...)
	default:
		var group sync.WaitGroup
		for _, number := range numbers {
			group.Go(func() {
				change := fleet.Stop
				if verb == "start" {
					change = func(number int) error { return fleet.Start(ctx, number) }
				}
				if err := change(number); err != nil && ctx.Err() == nil {
					l.remark(err)
				}
			})
		}
		group.Wait()
	}
}

// remark says why a typed line had no effect.
func (l *localScreen) remark(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live && !l.ended {
		l.latest = err.Error()
		return
	}
	l.note("%v", err)
}

// prompt stands before what is typed.
const prompt = "rotate, stop, start: "

// draw draws the table in place of the one before, with the cursor behind what is typed.
func (l *localScreen) draw(fleet interface{ Addresses() []local.AddressStatus }) {
	if !l.live {
		return
	}
	addresses := fleet.Addresses()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	width, height := l.size()
	var b bytes.Buffer
	table := *l.s
	table.out = &b
	rows, hidden := localRows(addresses, max(height-6, 1))
	table.table(rows)
	if hidden > 0 {
		fmt.Fprintf(&b, "and %d more\n", hidden)
	}
	b.WriteString("\n" + localSummary(addresses) + "\n" + printable(l.latest) + "\n")

	frame := redrawn(b.String(), l.drawn, width) + cut(prompt+printable(l.typed), width-1) + "\x1b[J"
	l.drawn = strings.Count(b.String(), "\n")
	fmt.Fprint(l.s.out, frame)
}

// redrawn draws lines over so many that were drawn before, each cut to a terminal's width.
func redrawn(text string, before, width int) string {
	var frame strings.Builder
	if before > 0 {
		fmt.Fprintf(&frame, "\x1b[%dA", before)
	}
	frame.WriteString("\r")
	for line := range strings.Lines(text) {
		frame.WriteString(cut(strings.TrimSuffix(line, "\n"), width) + "\x1b[K\n")
	}
	return frame.String()
}

// end leaves the table as it is. Later events are written as lines.
func (l *localScreen) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.drawn > 0 {
		fmt.Fprint(l.s.out, "\r\x1b[K") // the prompt
	}
}

// localRows are the table's, at most as many as there is room for. A row is a task, or an address
// without one.
func localRows(addresses []local.AddressStatus, room int) (rows [][]cell, hidden int) {
	colours := map[local.Phase]colour{
		local.PhaseStarting: yellow, local.PhaseServing: green, local.PhaseDraining: yellow,
		local.PhaseStopping: red,
	}
	for _, a := range addresses {
		next := ""
		if !a.Next.IsZero() && !a.Stopped {
			next = max(time.Until(a.Next), 0).Round(time.Second).String()
		}
		if a.Stopped && len(a.Tasks) == 0 {
			rows = append(rows, row(a.Number, a.Port, "", "", "", cell{"stopped", red}, "", "", ""))
		}
		for _, t := range a.Tasks {
			since := ""
			if !t.Started.IsZero() {
				since = age(time.Since(t.Started))
			}
			rows = append(rows, row(a.Number, a.Port, t.Address, t.Zone, since, cell{string(t.Phase), colours[t.Phase]},
				t.Open, t.Requests, next))
			next = ""
		}
	}
	hidden = max(len(rows)-room, 0)
	header := row("NO", "PORT", "ADDRESS", "ZONE", "AGE", "STATE", "OPEN", "REQUESTS", "NEXT")
	return append([][]cell{header}, rows[:len(rows)-hidden]...), hidden
}

func localSummary(addresses []local.AddressStatus) string {
	var open, serving int
	for _, a := range addresses {
		for _, t := range a.Tasks {
			open += t.Open
			if t.Phase == local.PhaseServing {
				serving++
			}
		}
	}
	return fmt.Sprintf("%d in service, %d connections", serving, open)
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

var escapes = regexp.MustCompile("\x1b[^m]*m")

// visible is how many columns a line takes.
func visible(line string) int { return utf8.RuneCountInString(escapes.ReplaceAllString(line, "")) }
