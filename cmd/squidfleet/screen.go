package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is a part of a terminal that is drawn again and again in its own place.
type screen struct {
	size  func() (width, height int)
	drawn int // lines of it, above the one with the cursor
}

func terminalSize() (width, height int) {
	width, height, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 80, 24
	}
	return width, height
}

// text is what a screen is made of.
func (s *streams) text(write func(*streams)) string {
	var b bytes.Buffer
	on := *s
	on.out = &b
	write(&on)
	return b.String()
}

// frame draws lines over those that were drawn before, each cut to the terminal's width. The cursor
// is left behind the last one, which has no end.
func (d *screen) frame(lines, last string) string {
	width, _ := d.size()
	var frame strings.Builder
	if d.drawn > 0 {
		fmt.Fprintf(&frame, "\x1b[%dA", d.drawn)
	}
	frame.WriteString("\r")
	d.drawn = 0
	for line := range strings.Lines(lines) {
		frame.WriteString(cut(strings.TrimSuffix(line, "\n"), width) + "\x1b[K\n")
		d.drawn++
	}
	return frame.String() + cut(last, width-1) + "\x1b[J"
}

// cut shortens a line to a terminal's width: a longer one would take two lines and spoil the place
// of the table.
func cut(line string, width int) string {
	if visible(line) <= width {
		return line
	}
	column, escape := 0, false
	for i, r := range line {
		if escape = escape || r == '\x1b'; !escape {
			column++
		}
		if column == width {
			if strings.ContainsRune(line[:i], '\x1b') {
				return line[:i] + "…\x1b[0m"
			}
			return line[:i] + "…"
		}
		escape = escape && r != 'm'
	}
	return line
}

var escapes = regexp.MustCompile("\x1b[^m]*m")

// visible is how many columns a line takes. Colours take none.
func visible(line string) int { return utf8.RuneCountInString(escapes.ReplaceAllString(line, "")) }
