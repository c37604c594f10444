package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// noise is more than the pipe from Squid and the copier's buffer hold.
var noise = strings.Repeat(`{"a":"line of the log"}`+"\n", 20_000)

func TestOutputIsCopiedToTheEnd(t *testing.T) {
	f := newFixture(t, fake{run: "cat noise; echo a message; echo a message >&2"}, credentialsInImage)
	f.write("noise", noise)
	p := f.command().start()
	p.ends(0)
	want := strings.ReplaceAll(noise, "{", `{"egress":"-",`) + messagePrefix + "a message\n"
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
	f := newFixture(t, fake{run: "cat noise; exit 5"}, credentialsInImage)
	f.write("noise", noise)
	p := f.command()
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
			p := newFixture(t, fake{run: "echo {}; echo a message >&2; exit 5"}, credentialsInImage).command()
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
