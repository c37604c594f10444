package digest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"
)

// Squid starts a helper of its own for each external_acl_type. Where Digest and Basic are both
// accepted, one process checks both, so that an address has one account of guesses. The helper of
// the other type hands its lines over.

// share answers what other helpers hand over at a Unix socket, until ctx ends. Only processes of
// this user can enter the socket's directory.
func share(ctx context.Context, path string, v *Verifier) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an earlier helper
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				Serve(ctx, conn, conn, v) // an error ends the other side as well, and Squid notices
			}()
		}
	}()
	return nil
}

// shareWait is how long handOver waits for the socket: Squid starts all helpers at the same time.
const shareWait = 10 * time.Second

// handOver has another helper answer, until the input or the other helper ends.
func handOver(path string, in io.Reader, out io.Writer) error {
	const pause = 10 * time.Millisecond
	conn, err := net.Dial("unix", path)
	for waited := time.Duration(0); err != nil && waited < shareWait; waited += pause {
		time.Sleep(pause)
		conn, err = net.Dial("unix", path)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, in)
		sent <- err
		conn.(*net.UnixConn).CloseWrite()
	}()
	err = copyLines(out, conn)
	select {
	case failed := <-sent: // at the end of the input
		return errors.Join(err, failed)
	default:
		return errors.Join(err, fmt.Errorf("%s: the other helper ended", path))
	}
}

// copyLines copies whole lines, for the reason that [Concurrency] has.
func copyLines(out io.Writer, in io.Reader) error {
	lines := bufio.NewReaderSize(in, lineMax)
	for {
		if _, err := lines.Peek(lines.Buffered() + 1); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		whole, _ := lines.Peek(lines.Buffered())
		whole = whole[:bytes.LastIndexByte(whole, '\n')+1]
		if _, err := out.Write(whole); err != nil {
			return err
		}
		lines.Discard(len(whole))
	}
}
