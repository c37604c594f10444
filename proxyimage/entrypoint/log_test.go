package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const field = `"egress":"203.0.113.9",`

func TestMark(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{`{"time":"x"}` + "\n", `{` + field + `"time":"x"}` + "\n"},
		{`{"a":{"b":1}}` + "\n" + `{"c":"{"}` + "\n", `{` + field + `"a":{"b":1}}` + "\n" + `{` + field + `"c":"{"}` + "\n"},
		{"{}\n{\n}\n", "{}\n{\n}\n"}, // no member to put the comma before
		{"\n\n" + `{"a":1}`, "\n\n{" + field + `"a":1}`},
		{"plain {\"a\":1}\n", "plain {\"a\":1}\n"},
		{" {\"a\":1}\n", " {\"a\":1}\n"},
		{`{"cut`, `{` + field + `"cut`},
		{"{", "{"},
	} {
		for size := 1; size <= len(c.in)+1; size++ {
			var m marker
			var got []byte
			for rest := []byte(c.in); len(rest) > 0; {
				n := min(size, len(rest))
				got = m.mark(got, rest[:n], []byte(field))
				rest = rest[n:]
			}
			if string(got) != c.want {
				t.Errorf("%q in pieces of %d: %q, want %q", c.in, size, got, c.want)
			}
		}
	}
}

func TestMarkTakesNoMemory(t *testing.T) {
	in := bytes.Repeat([]byte(`{"time":"2026-01-02T03:04:05","client":"198.51.100.7","url":"http://example.com/"}`+"\n"), 700)
	out := make([]byte, 0, 2*len(in))
	var m marker
	if n := testing.AllocsPerRun(10, func() { out = m.mark(out[:0], in, []byte(field)) }); n != 0 {
		t.Errorf("%v allocations a read", n)
	}
}

func BenchmarkMark(b *testing.B) {
	in := bytes.Repeat([]byte(`{"time":"2026-01-02T03:04:05","durationMs":12,"client":"198.51.100.7","user":"alice","method":"GET","url":"http://example.com/","status":200}`+"\n"), 400)
	out := make([]byte, 0, 2*len(in))
	b.SetBytes(int64(len(in)))
	var m marker
	for b.Loop() {
		out = m.mark(out[:0], in, []byte(field))
	}
}

// A line longer than any buffer, in reads of every size, and with the address changing on the way.
func TestCopyLog(t *testing.T) {
	long := `{"url":"` + strings.Repeat("a", 300_000) + `"}` + "\n"
	for name, source := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "end with data": iotest.DataErrReader,
	} {
		egress := newEgressField()
		var got bytes.Buffer
		if err := copyLog(&got, source(strings.NewReader(long+long)), egress); err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(long+long, `{"url"`, `{"egress":"-","url"`); got.String() != want {
			t.Errorf("%s: %d bytes, want %d", name, got.Len(), len(want))
		}
	}
	egress := newEgressField()
	read, write := io.Pipe()
	var got bytes.Buffer
	done := make(chan error)
	go func() { done <- copyLog(&got, read, egress) }()
	io.WriteString(write, `{"a":1}`+"\n")
	io.WriteString(write, "") // returns when the first one is copied
	egress.set("2001:db8::9")
	io.WriteString(write, `{"a":2}`+"\n")
	write.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if want := `{"egress":"-","a":1}` + "\n" + `{"egress":"2001:db8::9","a":2}` + "\n"; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
	broken := errors.New("broken")
	if err := copyLog(&got, iotest.ErrReader(broken), egress); !errors.Is(err, broken) {
		t.Errorf("error %v, want the reader's", err)
	}
}
