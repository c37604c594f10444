package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
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

// logURL is what the log has for a URL.
func logURL(url string) string {
	if part, ok := publicPart([]byte(url)); ok {
		return string(part)
	}
	return string(withheld)
}

func TestPublicPartOfAURL(t *testing.T) {
	long := strings.Repeat("a", maxHost)
	for in, want := range map[string]string{
		"-":                             "-",
		"http://example.com":            "http://example.com",
		"https://example.com/":          "https://example.com/",
		"http://example.com:8080/a/b@c": "http://example.com:8080/a/b@c",
		"http://%5B2606:2800::1%5D/":    "http://%5B2606:2800::1%5D/",
		"http://" + long + "/":          "http://" + long + "/",
		"origin.example:443":            "origin.example:443",
		"%5B2606:2800::1%5D:443":        "%5B2606:2800::1%5D:443",

		// A query and a fragment, however escaped.
		"http://example.com?secret":          "http://example.com?",
		"http://example.com/a?":              "http://example.com/a?",
		"http://example.com/a?secret":        "http://example.com/a?",
		"http://example.com/a%23secret":      "http://example.com/a",
		"http://example.com/a%2523secret":    "http://example.com/a",
		"http://example.com/a%252523secret":  "http://example.com/a",
		"http://example.com/a%253Fsecret":    "http://example.com/a",
		"http://example.com/a%3fsecret":      "http://example.com/a",
		"http://example.com/%25%2520b%24%2?": "http://example.com/%25%2520b%24%2?",
		"http://example.com/a?b%23secret":    "http://example.com/a?",
		"http://example.com%23secret":        "http://example.com",
	} {
		if got := logURL(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	// What has user information, or is no URL. The last one's is cut before its end.
	for _, in := range append(strings.Fields(`
		http://user:secret@example.com/ http://secret@example.com/ http://user:80@example.com/
		http://user%3Asecret%40example.com/ http:///user:secret@example.com/
		http:%5C%5Cuser:secret@host%5Cpath http:user:secret@host/ http;//user:secret@host/
		HTTP://user:secret@host/ //user:secret@host/ /path?secret foo://user:secret@host/p?secret
		urn:x?secret user:secret@origin.example:443 origin.example:443/path?secret
		origin.example:443%23secret origin.example:443secret origin.example:123456 origin.example
		origin.example: http://origin.example:/ http://origin.example:secret/ http://origin.example;secret/
		http://%5Bsecret@::1%5D/ http://%5B::1/ http://user:secret@http://example.com`),
		"", "http://"+long+"a") {
		if got := logURL(in); got != "withheld" {
			t.Errorf("%q: %q is not withheld", in, got)
		}
	}
}

// logged is everything that may stand in the log for a URL.
var logged = regexp.MustCompile(`^(-|withheld|` +
	`https?://([\w.-]{1,255}|%5B[\w.:-]{1,255}%5D)(:[0-9]{1,5})?(/[^?#]*)?\??|` +
	`([\w.-]{1,255}|%5B[\w.:-]{1,255}%5D):[0-9]{1,5})$`)

// escaped is a fragment's or a query's begin in a path.
var escaped = regexp.MustCompile(`%(25)*(23|3[fF])`)

// Whatever the URL, what is logged has one of the known forms, and is the URL's own begin.
func FuzzPublicPartOfAURL(f *testing.F) {
	for _, url := range []string{"http://user:secret@host/path?query%23fragment", "http:%5C%5Ca@b%5Cc@d?",
		"http://h/a%2523b", "https://%5B::1%5D:8/?", "h:1", "//u:s@h/", "http;//u:s@h/"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		got := logURL(url)
		if !logged.MatchString(strings.ReplaceAll(got, "\n", "")) || escaped.MatchString(got) {
			t.Errorf("%q: %q", url, got)
		}
		if got != string(withheld) && !strings.HasPrefix(url, got) {
			t.Errorf("%q: %q is not its begin", url, got)
		}
	})
}
