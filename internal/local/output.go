package local

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
)

// requestCounter counts the lines of an access log: one is one request.
type requestCounter struct{ lines atomic.Uint64 }

func (c *requestCounter) Write(p []byte) (int, error) {
	c.lines.Add(uint64(bytes.Count(p, []byte("\n"))))
	return len(p), nil
}

// tailLimit is how many bytes of a task's messages are kept: enough to say why a start failed.
const tailLimit = 4 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailLimit; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
