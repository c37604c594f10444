package stacks

import (
	"bufio"
	"bytes"
	"os"
	"regexp"
)

// What the CDK says and would mislead.
var (
	// jsii-runtime-go 1.139 prints this when it ends Node.js and two of its goroutines wait for the same process: the one that comes second finds none, although all went well.
	raceOfClose = []byte("Runtime process exited abnormally: waitid: no child processes")
	// The CDK tells where it writes its report, which has moved up by the time somebody looks for it.
	workPath = regexp.MustCompile(`/\.synth-[0-9]+/`)
)

// relayed is what stands between this program's stderr and everything that is written to os.Stderr, jsii's goroutines included: they may write after Close, and then to nowhere.
var relayed *relay

type relay struct {
	writer *os.File
	done   chan struct{}
}

// relayStderr puts what the CDK says right. The first call counts; Close waits until all is passed on.
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
