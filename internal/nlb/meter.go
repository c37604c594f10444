package nlb

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// meter measures how long a connection has been idle without getting in the way
// of its bytes.
type meter interface {
	// source returns what to copy from instead of the socket itself.
	source(*net.TCPConn) io.Reader
	// idle returns the time since data last moved on either side.
	idle() time.Duration
}

// countingMeter notes the time of each read. It is for systems whose kernel does
// not tell, and does not splice either.
type countingMeter struct {
	start time.Time
	last  atomic.Int64 // since start, by the monotonic clock
}

func newCountingMeter() *countingMeter { return &countingMeter{start: time.Now()} }

func (m *countingMeter) source(t *net.TCPConn) io.Reader { return &countingReader{t, m} }

func (m *countingMeter) idle() time.Duration {
	return time.Since(m.start) - time.Duration(m.last.Load())
}

type countingReader struct {
	io.Reader
	meter *countingMeter
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.meter.last.Store(int64(time.Since(r.meter.start)))
	}
	return n, err
}
