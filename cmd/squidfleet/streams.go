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

	progress string // the last line of it
}

// watched notes the first error of writing to a stream, and interrupts the program if nobody reads
// it any more.
type watched struct {
	io.Writer
	interrupt func()
	failed    atomic.Pointer[error]
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		w.failed.CompareAndSwap(nil, &err)
	}
	if errors.Is(err, syscall.EPIPE) {
		w.interrupt()
	}
	return n, err
}

// failed is why a watched stream could not be written, or nil.
func failed(stream io.Writer) error {
	if w, is := stream.(*watched); is && w.failed.Load() != nil {
		return *w.failed.Load()
	}
	return nil
}

// unread reports whether nobody reads the output any more.
func (s *streams) unread() bool {
	return errors.Is(failed(s.out), syscall.EPIPE) || errors.Is(failed(s.err), syscall.EPIPE)
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

// result writes what a command found: as JSON if that was asked for, otherwise as text does.
func (s *streams) result(value any, text func()) error {
	if s.asJSON {
		return s.json(value, "  ")
	}
	text()
	return nil
}

// json writes one value, on one line if indent is "".
func (s *streams) json(value any, indent string) error {
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
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
