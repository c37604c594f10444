package digest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"sync"
	"time"
)

// The annotations of the helper's answers, for Squid's note ACLs. Names end in "_" because Squid
// keeps all others for itself.
const (
	// NoteSHA256 and NoteMD5 hold a challenge each; a refusal with challenge has the second if
	// Digest is offered, and the first if SHA-256 is.
	NoteSHA256 = "sha256_"
	NoteMD5    = "md5_"
	// NoteBasic is on refusals with challenge if Basic is offered.
	NoteBasic = "basic_"
	// NoteThrottled is on refusals of addresses that guess.
	NoteThrottled = "throttled_"
)

// Concurrency is the number of requests that Squid may have with the helper at a time (its
// concurrency=); others wait in Squid's queue. All their answers together fit into one of Squid's
// reads, 32,767 bytes. Where a read ends inside a channel's number, Squid (5.7, 6.13, 7.6:
// helperHandleRead) takes what it has for the whole number: one request is then refused, and
// another is not answered at all.
const Concurrency = 56

const (
	// lineMax is the longest line of Squid that is understood: a URL and a header of 8 KiB each,
	// were every byte of them quoted, fit in.
	lineMax = 64 << 10
	// delayedMax is how many answers may be held back at a time: half of Concurrency, so that they
	// hold nothing else back.
	delayedMax = Concurrency / 2
)

// Serve answers Squid as a helper of external_acl_type with [Concurrency] and [Format] or
// [BasicFormat]: it reads a line for each request and writes one for each answer,
//
//	id OK user=name
//	id ERR sha256_="Digest …" md5_="Digest …" log=reason
//	id ERR basic_=1 log=reason
//	id ERR throttled_=1 log=throttled
//	id ERR log=line-malformed
//
// the refusals without a challenge being for what must not lead to one. Nothing it reads makes it
// stop or wait: answers with a delay are sent when they are due and others overtake them; too many
// delayed ones become throttled ones. The answers to what one read brought are written at once.
//
// Serve returns nil at the end of the input, which is how Squid stops a helper, the context's error
// when that ends first (a read that is under way is then left behind), or the error of reading or
// writing. Delayed answers that are not due by then are dropped.
func Serve(ctx context.Context, in io.Reader, out io.Writer, v *Verifier) error {
	h := &helper{out: out, v: v}
	done := make(chan error, 1)
	go func() { done <- h.run(in) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	return err
}

type helper struct {
	v       *Verifier
	request Request
	result  Result
	answer  []byte // to what the last read brought
	value   []byte // scratch space for a challenge

	mu      sync.Mutex // everything below; out is written a batch of whole lines at a time
	out     io.Writer
	failed  error
	delayed int
	stopped bool
}

func (h *helper) run(in io.Reader) error {
	lines := bufio.NewReaderSize(in, lineMax)
	for skipping := false; ; {
		line, err := lines.ReadSlice('\n')
		tooLong := err == bufio.ErrBufferFull
		if !skipping && (err == nil || tooLong) {
			h.line(line, tooLong)
		}
		skipping = tooLong
		if more, _ := lines.Peek(lines.Buffered()); bytes.IndexByte(more, '\n') < 0 {
			if err := h.flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil && !tooLong {
			return err
		}
	}
}

// line answers one line, or sees to it that it will be.
func (h *helper) line(line []byte, tooLong bool) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
	id, fields, ok := cutChannel(line)
	if !ok {
		// Without concurrency= Squid takes this for the answer and says so in its log; with it, for
		// one that belongs to nobody.
		h.answer = append(h.answer, "BH message=\"no channel id: concurrency= is needed\"\n"...)
		return
	}
	switch {
	case tooLong:
		h.result = Result{Reason: LineTooLong}
	case parseLine(fields, &h.request):
		h.result = h.v.Verify(&h.request)
	default:
		h.result = Result{Reason: LineMalformed}
	}
	if h.result.Delay > 0 {
		if h.delay(id) {
			return
		}
		h.result = Result{Reason: Throttled}
	}
	h.answer = h.appendAnswer(h.answer, id)
}

// delay sends the current result when it is due, if there is room for it.
func (h *helper) delay(id []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.delayed >= delayedMax {
		return false
	}
	h.delayed++
	answer := h.appendAnswer(nil, id)
	time.AfterFunc(h.result.Delay, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.delayed--
		h.write(answer)
	})
	return true
}

func (h *helper) appendAnswer(dst, id []byte) []byte {
	r := &h.result
	dst = append(dst, id...)
	if r.Reason == Accepted {
		dst = append(append(dst, " OK user="...), r.encoded...)
		return append(dst, '\n')
	}
	dst = append(dst, " ERR "...)
	switch {
	case r.Challenge:
		digest := len(h.v.macs) > 0
		if digest && h.v.sha256 {
			dst = h.appendNote(dst, NoteSHA256, SHA256)
		}
		if digest {
			dst = h.appendNote(dst, NoteMD5, MD5)
		}
		if h.v.basic {
			dst = append(dst, NoteBasic+"=1 "...)
		}
	case r.Reason == Throttled:
		dst = append(dst, NoteThrottled+"=1 "...)
	}
	dst = append(append(dst, "log="...), r.Reason...)
	return append(dst, '\n')
}

func (h *helper) appendNote(dst []byte, name string, a Algorithm) []byte {
	h.value = h.v.AppendChallenge(h.value[:0], a, &h.result)
	dst = append(append(dst, name...), `="`...)
	for _, c := range h.value {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, `" `...)
}

func (h *helper) flush() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.answer) > 0 {
		h.write(h.answer)
	}
	h.answer = h.answer[:0]
	return h.failed
}

// write needs h.mu. The first failure is the one that Serve returns.
func (h *helper) write(answer []byte) {
	if h.failed == nil && !h.stopped {
		_, h.failed = h.out.Write(answer)
	}
}
