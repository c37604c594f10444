package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"squidfleet/internal/must"
)

const field = `"egress":"203.0.113.9",`

// accessLines is what becomes of a line of the access log, with an address that is known.
func accessLines() func(out, line []byte) []byte {
	l := newAccessLog()
	l.setEgress("203.0.113.9")
	return l.become
}

func TestAccessLines(t *testing.T) {
	become := accessLines()
	for _, c := range []struct{ in, want string }{
		{`{"time":"x","method":"PURGE","url":"http://example.com/a?x","status":200}`,
			`{` + field + `"time":"x","method":"PURGE","url":"http://example.com/a?","status":200}`},
		{`{"time":"x","method":"GET","url":"ftp://u:p@h/a","userAgent":"http://u:p@x"}`,
			`{` + field + `"time":"x","method":"GET","url":"withheld","userAgent":"http://u:p@x"}`},
		{`{"time":"x","method":"secret","url":"error:invalid-request","status":400}`,
			`{` + field + `"time":"x","method":"withheld","url":"withheld","status":400}`},
		{`{"time":"x","method":"-","url":"error:invalid-request"}`,
			`{` + field + `"time":"x","method":"-","url":"withheld"}`},
		{`{"time":"x"}`, `{` + field + `"time":"x"}`},
		{`{"time":"x","method":"GET","url":"http://u:p@cut`,
			`{` + field + `"time":"x","method":"GET","url":"withheld`},
		{``, `squid: `},
		{`{}`, `squid: {}`},
		{` {"time":"x"}`, `squid:  {"time":"x"}`},
	} {
		if got := string(become(nil, []byte(c.in))); got != c.want+"\n" {
			t.Errorf("%q became %q, want %q", c.in, got, c.want+"\n")
		}
	}
}

func TestMessagesAreOneLineOfPrintableASCII(t *testing.T) {
	for in, want := range map[string]string{
		"2026/01/02 03:04:05| ready":          "squid: 2026/01/02 03:04:05| ready\n",
		`{"time":"x","egress":"203.0.113.9"}`: `squid: {"time":"x","egress":"203.0.113.9"}` + "\n",
		"a\x00\x1b[31m\rb\x7fü\xff":           `squid: a\x00\x1b[31m\x0db\x7f\xc3\xbc\xff` + "\n",
	} {
		if got := string(message(nil, []byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestLinesTakeNoMemory(t *testing.T) {
	for _, line := range []string{
		`{"time":"2026-01-02T03:04:05","user":"alice","method":"GET","url":"http://example.com/?x","status":200}`,
		`{"time":"2026-01-02T03:04:05","user":"alice","method":"x","url":"http://u:p@example.com/","status":400}`,
		`{"time":"2026-01-02T03:04:05","user":"-","auth":"no-credentials","status":407,"result":"TCP_DENIED"}`,
	} {
		in, out := []byte(line), make([]byte, 0, 2*len(line))
		become := accessLines()
		if n := testing.AllocsPerRun(10, func() { out = become(out[:0], in) }); n != 0 {
			t.Errorf("%v allocations for %s", n, line)
		}
	}
}

// Lines longer than Squid writes, in reads of every size, and a last one without an end.
func TestCopyLines(t *testing.T) {
	long := `{"time":"x","userAgent":"` + strings.Repeat("a", longestLine/2) + `"}`
	for name, source := range map[string]func(io.Reader) io.Reader{
		"whole":         func(r io.Reader) io.Reader { return r },
		"halves":        iotest.HalfReader,
		"end with data": iotest.DataErrReader,
	} {
		var got bytes.Buffer
		must.OK(t, copyLines(&got, source(strings.NewReader(long+"\n"+long)), accessLines()))
		if want := strings.Repeat("{"+field+long[1:]+"\n", 2); got.String() != want {
			t.Errorf("%s: %d bytes, want %d", name, got.Len(), len(want))
		}
	}
	var got bytes.Buffer
	must.OK(t, copyLines(&got, strings.NewReader(strings.Repeat("b", 2*longestLine+1)), message))
	piece := messagePrefix + strings.Repeat("b", longestLine) + "\n"
	if want := piece + piece + messagePrefix + "b\n"; got.String() != want {
		t.Errorf("a line without an end: %d bytes, want %d", got.Len(), len(want))
	}

	broken := errors.New("broken")
	if err := copyLines(&got, iotest.ErrReader(broken), message); !errors.Is(err, broken) {
		t.Errorf("error %v, want the reader's", err)
	}
}
