package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo terminal and returns the side that programs write to.
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return slave
}

func TestColoursAreForTerminals(t *testing.T) {
	tty := terminal(t)
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
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
