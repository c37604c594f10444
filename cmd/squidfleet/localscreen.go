package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"squidfleet/internal/local"
)

// localScreen shows a local fleet: on a terminal as a table that is drawn again and again,
// otherwise as a line for each event.
type localScreen struct {
	s  *streams
	mu sync.Mutex
	screen
	// drawing: the table is there, and events are written below it.
	drawing bool
	latest  string // what happened last
	typed   string // so far
}

// redraw is how often the table is drawn.
const redraw = 500 * time.Millisecond

const clock = "15:04:05"

// event is called by the fleet.
func (l *localScreen) event(e local.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch line := e.Time.Format(clock) + " " + printable(e.String()); {
	case l.s.asJSON:
		// A reader that went away is noticed by the process's end of the pipe.
		_ = l.s.json(e, "")
	case l.drawing:
		l.latest = line
	default:
		fmt.Fprintln(l.s.out, line)
	}
}

// ready says what to paste.
func (l *localScreen) ready(w localWelcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.s.asJSON {
		return l.s.json(w, "")
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
			fmt.Fprintf(out, "User %s has the password in $%s\n", u.User, u.variable)
		} else {
			fmt.Fprintf(out, "User %s has the password %s\n", u.User, u.Password)
		}
	}
	_, err := fmt.Fprintf(out, "Type rotate %d (or rotate, for all), stop %[1]d or start %[1]d. "+
		"Ctrl-C ends everything.\n\n", first.Number)
	l.drawing = l.s.colours
	return err
}

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
	restore, readable := attach(stdin, l.drawing)
	lines := make(chan string)
	if readable {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go readLines(ctx, stdin, lines)
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
		case line := <-lines:
			l.typed = line
			if strings.HasSuffix(line, "\n") {
				l.typed = ""
				group.Go(func() { l.obey(ctx, fleet, line) })
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
	if l.drawing {
		l.latest = printable(err.Error())
		return
	}
	fmt.Fprintln(l.s.err, err)
}

// prompt stands before what is typed.
const prompt = "rotate, stop, start: "

// draw draws the table in place of the one before, with the cursor behind what is typed.
func (l *localScreen) draw(fleet interface{ Addresses() []local.AddressStatus }) {
	addresses := fleet.Addresses()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.drawing {
		return
	}
	_, height := l.size()
	text := l.s.text(func(s *streams) { s.localTable(addresses, height-6) }) + l.latest + "\n"
	fmt.Fprint(l.s.out, l.frame(text, prompt+printable(l.typed)))
}

// end leaves the table as it is. Later events are written as lines.
func (l *localScreen) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drawing = false
	if l.drawn > 0 {
		fmt.Fprint(l.s.out, "\r\x1b[K") // the prompt
	}
}

// localTable writes the addresses, as many rows as there is room for, and their sum. A row is a
// task, or an address without one.
func (s *streams) localTable(addresses []local.AddressStatus, room int) {
	rows := [][]cell{row("NO", "PORT", "ADDRESS", "ZONE", "AGE", "STATE", "OPEN", "REQUESTS", "NEXT")}
	var open, serving int
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
			rows = append(rows, row(a.Number, a.Port, t.Address, t.Zone, since, state(t.Phase), t.Open, t.Requests,
				next))
			next = ""
			open += t.Open
			if t.Phase == local.PhaseServing {
				serving++
			}
		}
	}
	shown := min(len(rows), 1+max(room, 1))
	s.table(rows[:shown])
	if hidden := len(rows) - shown; hidden > 0 {
		fmt.Fprintf(s.out, "and %d more\n", hidden)
	}
	fmt.Fprintf(s.out, "\n%d in service, %d connections\n", serving, open)
}
