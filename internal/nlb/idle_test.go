package nlb

import (
	"bufio"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestOnlyAnIdleConnectionIsReset(t *testing.T) {
	t.Parallel()
	c := quick()
	c.IdleTimeout = 2 * time.Second // room for the busy one on a busy machine
	r := newRig(t, c)
	k := newBackend(t, "a")
	ended := make(chan error, 2)
	k.serve = func(c *net.TCPConn, in *bufio.Reader) {
		c.Write([]byte("a\n"))
		_, err := io.Copy(c, in)
		ended <- err
	}
	r.add(k)
	begin := time.Now()
	idle, busy := r.dial(), r.dial()
	reset := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, idle.reader)
		reset <- err
	}()
	for over := false; !over; time.Sleep(10 * time.Millisecond) {
		busy.echo()
		select {
		case err := <-reset:
			over = true
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v, want a reset", err)
			}
		default:
		}
	}
	if took := time.Since(begin); took < c.IdleTimeout-20*time.Millisecond { // the kernel counts in ticks
		t.Errorf("reset after %v, before the timeout of %v", took, c.IdleTimeout)
	}
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("at the target: %v, want a reset", err)
	}
	busy.echo()
}
