package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// cell is a text with a colour, which takes no room.
type cell struct {
	text   string
	colour colour
}

// stateColours are those of the words that say how something is.
var stateColours = map[string]colour{
	"ok": green, "healthy": green, "serving": green,
	"unknown": yellow, "starting": yellow, "draining": yellow,
	"problem": red, "unhealthy": red, "stopping": red,
}

func state[Word ~string](word Word) cell { return cell{string(word), stateColours[string(word)]} }

// row makes cells of what is no cell yet. An address that is not valid is empty.
func row(values ...any) (cells []cell) {
	for _, value := range values {
		c, is := value.(cell)
		if !is && value != (netip.Addr{}) {
			c.text = printable(fmt.Sprint(value))
		}
		cells = append(cells, c)
	}
	return cells
}

// table writes rows in columns as wide as their widest cell. An empty cell becomes "-", so that
// each row has the same number of words.
func (s *streams) table(rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text), 1)
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			if c.text == "" {
				c.text = "-"
			}
			line.WriteString(s.paint(c.text, c.colour))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		fmt.Fprintln(s.out, line.String())
	}
}

// age writes a duration in its two largest units.
func age(d time.Duration) string {
	seconds := int(d.Seconds())
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 86400:
		return fmt.Sprintf("%dh%02dm", seconds/3600, seconds/60%60)
	}
	return fmt.Sprintf("%dd%02dh", seconds/86400, seconds/3600%24)
}

// printable shows what a terminal would obey instead of showing: clients choose what is in a URL.
func printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}
