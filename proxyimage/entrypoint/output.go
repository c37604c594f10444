package main

import (
	"errors"
	"io"
	"os"
	"time"

	"squidfleet/proxyimage/container"
)

// logPipe copies what Squid writes. Squid opens /dev/stdout by its path. The kernel refuses that
// if another user, such as the container engine's, owns the file behind it. So Squid gets a pipe
// of ours.
type logPipe struct {
	read, write *os.File
	done        chan error
}

func newLogPipe() (*logPipe, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &logPipe{read: read, write: write, done: make(chan error, 1)}, nil
}

// begin starts to copy with copyFrom, after Squid's start. It closes this process's writing end,
// or the copy would never end. If copyFrom fails, the pipe is still read, because a full pipe
// would block Squid.
func (o *logPipe) begin(what string, copyFrom func(io.Reader) error) {
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

// finish waits until everything is copied. It does not wait for a helper that outlives Squid with
// the pipe open, nor for a reader of the log that stopped reading.
func finish(pipes ...*logPipe) (err error) {
	late := time.After(container.LogGrace)
	for _, o := range pipes {
		o.read.SetReadDeadline(time.Now().Add(container.LogGrace / 2))
	}
	for _, o := range pipes {
		select {
		case failed := <-o.done:
			err = errors.Join(err, failed)
		case <-late:
			return errors.Join(err, errors.New("the log is not being read; its end is lost"))
		}
	}
	return err
}
