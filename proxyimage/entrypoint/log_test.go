package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"squidfleet/internal/must"
)

const field = `"egress":"203.0.113.9",`

// accessLines is what becomes of a line of the access log, with an address that is known.
func accessLines() func(out, line []byte) []byte {
	f := newEgressField()
	f.set("203.0.113.9")
	return (&accessLog{egress: f}).become
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

// noise is more than the pipe from Squid and the copier's buffer hold.
var noise = strings.Repeat(`{"a":"line of the log"}`+"\n", 20_000)

func TestOutputIsCopiedToTheEnd(t *testing.T) {
	todo := script{ExitNow: true, Stdout: noise, Stderr: "a message\n"}
	p := newFixture(t, todo, credentialsInImage).command().start()
	p.ends(0)
	want := strings.ReplaceAll(noise, "{", `{"egress":"-",`) + messagePrefix + readyLine
	if got := p.stdout.String(); got != want {
		t.Errorf("stdout has %d bytes, want %d", len(got), len(want))
	}
	if got := p.stderr.String(); got != messagePrefix+"a message\n" {
		t.Errorf("stderr %q", got)
	}
}

// Squid blocks if nobody reads its pipe. A log that cannot be written must not stop it.
func TestALogThatCannotBeWrittenDoesNotStopSquid(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must.OK(t, err)
	defer full.Close()
	p := newFixture(t, script{ExitNow: true, Exit: 5, Stdout: noise}, credentialsInImage).command()
	p.Stdout = full
	p.start().ends(5)
	p.waitForMessage("entrypoint: the access log is lost from here on: " +
		"write /dev/stdout: no space left on device\n")
}

func TestAReaderThatStoppedReadingIsNotWaitedFor(t *testing.T) {
	for _, blocked := range []string{"stdout", "stderr"} {
		t.Run(blocked, func(t *testing.T) {
			read, stuck, err := os.Pipe()
			must.OK(t, err)
			defer read.Close()
			defer stuck.Close()
			// Fill the pipe.
			stuck.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			for err == nil {
				_, err = stuck.Write(make([]byte, 4096))
			}
			todo := script{ExitNow: true, Exit: 5, Stdout: `{"a":1}` + "\n", Stderr: "a message\n"}
			p := newFixture(t, todo, credentialsInImage).command()
			if blocked == "stdout" {
				p.Stdout = stuck
			} else {
				p.Stderr = stuck
			}
			p.start().ends(5)
		})
	}
}

// A pipe in an epoll set wakes whoever waits there at each line.
func TestNoPollerWaitsForTheLog(t *testing.T) {
	pipe, err := newLogPipe()
	must.OK(t, err)
	pipe.begin("log", func(source io.Reader) error { return copyLines(io.Discard, source, message) })
	defer finish(pipe)
	// The poller is there as soon as anything is in it.
	read, write, err := os.Pipe()
	must.OK(t, err)
	defer read.Close()
	defer write.Close()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	must.OK(t, err)
	polled := map[int]bool{}
	for _, info := range infos {
		text, _ := os.ReadFile(info) // that of the directory itself has gone
		for line := range strings.Lines(string(text)) {
			var fd int
			if n, _ := fmt.Sscanf(line, "tfd: %d", &fd); n == 1 {
				polled[fd] = true
			}
		}
	}
	if len(polled) == 0 || polled[pipe.read.fd] {
		t.Errorf("the pipe is descriptor %d; in epoll sets: %v", pipe.read.fd, polled)
	}
}
