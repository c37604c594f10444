package stacks

import (
	"bufio"
	"bytes"
	"os"
	"regexp"
)

// Misleading messages of the CDK.
var (
	// jsii-runtime-go 1.139 prints this although all is well, when two of its goroutines wait for
	// Node.js to end and the second finds no process.
	raceOfClose = []byte("Runtime process exited abnormally: waitid: no child processes")
	// The CDK prints the path to which it writes its report. The report moves up afterwards.
	workPath = regexp.MustCompile(`/\.synth-[0-9]+/`)
)

// relayed passes on what is written to os.Stderr, by jsii's goroutines too. What they write after
// Close is lost.
var relayed *relay

type relay struct {
	writer *os.File
	done   chan struct{}
}

// relayStderr corrects the CDK's messages on their way to stderr. Only the first call has an
// effect. Close waits until all is passed on.
func relayStderr() error {
	if relayed != nil {
		return nil
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	relayed = &relay{writer: writer, done: make(chan struct{})}
	stderr := os.Stderr
	os.Stderr = writer
	go func() {
		defer close(relayed.done)
		lines := bufio.NewReader(reader)
		for {
			line, err := lines.ReadBytes('\n')
			stderr.Write(workPath.ReplaceAll(bytes.ReplaceAll(line, raceOfClose, nil), []byte("/")))
			if err != nil {
				return
			}
		}
	}()
	return nil
}
