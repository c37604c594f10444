package main

import (
	"errors"
	"io"
	"os"
	"time"

	"squidfleet/proxyimage/container"
)

// output copies what Squid writes. Squid gets pipes that this process made, because it opens /dev/stdout by its path, which
// the kernel refuses when another user owns what is behind it, as a container's engine may.
type output struct {
	read, write *os.File
	done        chan error
}

func newOutput() (*output, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &output{read: read, write: write, done: make(chan error, 1)}, nil
}

// begin starts to copy with the function given. Squid has been started: this process's own end for writing is closed, or the copy would never find an end. What can't be written is read all the same, because Squid would stand still
// otherwise.
func (o *output) begin(what string, copyFrom func(io.Reader) error) {
	o.write.Close()
	go func() {
		err := copyFrom(o.read)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			complain("the %s is lost from here on: %v", what, err)
			io.Copy(io.Discard, o.read)
		} else {
			err = nil
		}
		o.done <- err
	}()
}

// finish waits until everything written is copied, but not for a helper that outlives Squid with a pipe in its hand, nor for a reader of the log that stopped reading.
func finish(outputs ...*output) (err error) {
	late := time.After(container.LogGrace)
	for _, o := range outputs {
		o.read.SetReadDeadline(time.Now().Add(container.LogGrace / 2))
	}
	for _, o := range outputs {
		select {
		case failed := <-o.done:
			err = errors.Join(err, failed)
		case <-late:
			return errors.Join(err, errors.New("the log is not being read; its end is lost"))
		}
	}
	return err
}
