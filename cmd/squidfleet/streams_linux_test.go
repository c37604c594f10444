package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/internal/ptytest"
)

func TestColoursAreForTerminals(t *testing.T) {
	_, tty := ptytest.Open(t)
	file, err := os.Create(t.TempDir() + "/file")
	must.OK(t, err)
	defer file.Close()
	for _, c := range []struct {
		noColor, term string
		out, err      *os.File
		colours, live bool
	}{
		{"", "xterm", tty, tty, true, true},
		{"", "xterm", tty, file, true, false},
		{"", "xterm", file, tty, false, true},
		{"", "xterm", file, file, false, false},
		{"1", "xterm", tty, tty, false, false},
		{"", "dumb", tty, tty, false, false},
	} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		if s := newStreams(c.out, c.err); s.colours != c.colours || s.live != c.live {
			t.Errorf("%+v: colours %v, live %v", c, s.colours, s.live)
		}
	}
}

func TestProgressIsOneLineOnATerminalAndLinesElsewhere(t *testing.T) {
	for live, want := range map[bool]string{
		true:  "\r\x1b[Kone\r\x1b[Ktwo\nsquidfleet: interrupted\n",
		false: "one\ntwo\nsquidfleet: interrupted\n",
	} {
		var out bytes.Buffer
		s := &streams{err: &out, live: live}
		for _, line := range []string{"one", "two", "two"} {
			s.report(line)
		}
		s.exitCode(fmt.Errorf("interrupted"))
		if out.String() != want {
			t.Errorf("live %v: %q, want %q", live, out.String(), want)
		}
	}
}
