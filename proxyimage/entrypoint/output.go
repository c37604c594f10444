package main

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"squidfleet/proxyimage/container"
)

// logPipe copies what Squid writes. Squid opens /dev/stdout by its path. The kernel refuses that
// if another user, such as the container engine's, owns the file behind it. So Squid gets a pipe
// of ours.
type logPipe struct {
	read  *patientReader
	write *os.File
	done  chan error
}

func newLogPipe() (*logPipe, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	write := os.NewFile(uintptr(ends[1]), "log")
	return &logPipe{read: &patientReader{fd: ends[0]}, write: write, done: make(chan error, 1)}, nil
}

// patientReader reads a pipe without Go's poller, which each write to the pipe would wake, even
// while copyLines pauses. Waking costs the writer as well, and much of what a small tunnel needs.
type patientReader struct {
	fd    int
	ended atomic.Bool // whether Squid has: then the end is where the pipe stays silent
}

func (r *patientReader) Read(b []byte) (n int, err error) {
	const patience = container.LogGrace / 2
	poll := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
	for {
		n, err = unix.Poll(poll, int(patience.Milliseconds()))
		if n > 0 {
			n, err = unix.Read(r.fd, b)
		} else if err == nil && !r.ended.Load() {
			continue
		} else if err == nil {
			return 0, os.ErrDeadlineExceeded
		}
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
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
		o.read.ended.Store(true)
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
