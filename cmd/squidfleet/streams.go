package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/term"
)

// streams are the program's stdout and stderr, and how to write to them.
type streams struct {
	out, err io.Writer
	// colours: out takes them.
	colours bool
	// live: err is a terminal on which a line can be rewritten.
	live bool

	// asJSON: stdout has JSON, also for errors.
	asJSON bool

	progress string  // the last line of it
	writes   *writes // nil until guard
}

// writes is what became of writing to out and err.
type writes struct {
	unread atomic.Bool           // the reader of one of them has gone
	failed atomic.Pointer[error] // the first error of out
}

// guard makes a write that nobody can read any more interrupt the program, and keeps the first
// error of writing to out.
func (s *streams) guard(interrupt func()) {
	w := new(writes)
	s.writes = w
	watch := func(to io.Writer, failed func(error)) io.Writer {
		return writer(func(p []byte) (int, error) {
			n, err := to.Write(p)
			if errors.Is(err, syscall.EPIPE) {
				w.unread.Store(true)
				interrupt()
			}
			if err != nil {
				failed(err)
			}
			return n, err
		})
	}
	s.out = watch(s.out, func(err error) { w.failed.CompareAndSwap(nil, &err) })
	s.err = watch(s.err, func(error) {})
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// unread reports whether nobody reads the output any more.
func (s *streams) unread() bool { return s.writes != nil && s.writes.unread.Load() }

// failed is why out could not be written, or nil.
func (s *streams) failed() error {
	if s.writes != nil {
		if err := s.writes.failed.Load(); err != nil {
			return *err
		}
	}
	return nil
}

func newStreams(out, err *os.File) *streams {
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	return &streams{
		out:     out,
		err:     err,
		colours: !plain && term.IsTerminal(int(out.Fd())),
		live:    !plain && term.IsTerminal(int(err.Fd())),
	}
}

// json writes one value, indented.
func (s *streams) json(value any) error {
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// jsonLine writes one value as one line.
func (s *streams) jsonLine(value any) error {
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// report shows progress: on a terminal in one line that is rewritten, otherwise in a line for each
// change.
func (s *streams) report(line string) {
	if line == s.progress {
		return
	}
	s.progress = line
	if s.live {
		fmt.Fprintf(s.err, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(s.err, line)
}

// endProgress leaves the last line of the progress where it is.
func (s *streams) endProgress() {
	if s.progress != "" && s.live {
		fmt.Fprintln(s.err)
	}
	s.progress = ""
}

// colour is a terminal's code for one.
type colour string

const (
	noColour colour = ""
	red      colour = "31"
	green    colour = "32"
	yellow   colour = "33"
)

// paint colours a text where colours are wanted.
func (s *streams) paint(text string, c colour) string {
	if !s.colours || c == noColour {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
