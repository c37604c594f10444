package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"squidfleet/squid"
)

const (
	// longestLine is beyond what Squid writes: it cuts lines at 8 KiB. What is longer is copied in
	// pieces of this size, each as a line.
	longestLine = 64 << 10
	// logPause lets lines gather after a read. The pipe holds more lines than Squid writes in this
	// time, unless they are long: then reads are large, and no pause follows.
	logPause = 10 * time.Millisecond
)

// copyLines copies source line by line through a function that appends what a line becomes, with
// its end, to out. A last line without an end is one, too.
func copyLines(destination io.Writer, source io.Reader, become func(out, line []byte) []byte) error {
	in := make([]byte, longestLine)
	out := make([]byte, 0, 2*longestLine)
	filled := 0
	for {
		n, err := source.Read(in[filled:])
		rest := in[:filled+n]
		out = out[:0]
		for {
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				break
			}
			out = become(out, rest[:end])
			rest = rest[end+1:]
		}
		if len(rest) == len(in) || err != nil && len(rest) > 0 {
			out = become(out, rest)
			rest = nil
		}
		if len(out) > 0 {
			if _, err := destination.Write(out); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		filled = copy(in, rest)
		if n < len(in)/2 {
			time.Sleep(logPause)
		}
	}
}

// messagePrefix begins each line of Squid's own messages, so that none can pass for one of the
// access log: Squid puts bytes that clients sent into its messages, line ends included.
const messagePrefix = "squid: "

// message appends a message of Squid's with whatever is not printable ASCII escaped.
func message(out, line []byte) []byte {
	out = append(out, messagePrefix...)
	for _, c := range line {
		if c < ' ' || c > '~' {
			out = fmt.Appendf(out, `\x%02x`, c)
		} else {
			out = append(out, c)
		}
	}
	return append(out, '\n')
}

// The beginnings of each line of the access log and of members that are read here: see
// squid/log.go. Every string in a line is escaped, so that none of these can stand inside one.
var (
	accessBegin = []byte(`{"`)
	timeBegin   = []byte(`"time":"`)
	userBegin   = []byte(`,"user":"`)
	authBegin   = []byte(`,"auth":"`)
	methodBegin = []byte(`,"method":"`)
	urlBegin    = []byte(`","url":"`)
	statusBegin = []byte(`,"status":`)
	resultBegin = []byte(`,"result":"`)
	// cutConnection stands in the line of a connection that Squid's rules reset: it is denied, and
	// nothing was answered.
	cutConnection = []byte(`,"status":0,"result":"TCP_DENIED`)
)

// member returns the value behind a member's beginning, up to a byte that ends it; nil if the line
// has no such member.
func member(line, begin []byte, end byte) []byte {
	_, rest, _ := bytes.Cut(line, begin)
	if i := bytes.IndexByte(rest, end); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// accessLog turns what Squid writes into the access log.
type accessLog struct {
	// egress is the member that a line gets, ready to be copied: "egress":"203.0.113.9", with the
	// comma.
	egress  atomic.Pointer[[]byte]
	refused refusals
	cut     atomic.Int64 // connections that Squid reset
}

func newAccessLog() *accessLog {
	l := new(accessLog)
	l.setEgress("-") // nobody has told it yet
	return l
}

// setEgress takes an address in its usual form, which needs no quoting.
func (l *accessLog) setEgress(address string) {
	text := []byte(`"egress":"` + address + `",`)
	l.egress.Store(&text)
}

// become appends what a line becomes: the egress address is its first member, and its method and
// URL tell nothing that may be a secret. A refusal beyond the bound becomes nothing, or a count.
func (l *accessLog) become(out, line []byte) []byte {
	if !bytes.HasPrefix(line, accessBegin) { // Squid writes nothing else there
		return message(out, line)
	}
	if bytes.Contains(line, cutConnection) {
		l.cut.Add(1)
	}
	if l.refused.suppress(line) {
		return out
	}
	before, rest, found := bytes.Cut(line[1:], methodBegin)
	out = append(append(append(out, '{'), *l.egress.Load()...), before...)
	if !found {
		return append(out, '\n')
	}
	method, rest, _ := bytes.Cut(rest, urlBegin)
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		end = len(rest)
	}
	url, ok := publicPart(rest[:end])
	if !ok {
		url = withheld
		// Where Squid could not read the request's first line, its method may be a part of a URL.
		if !bytes.Equal(method, nothing) && !slices.Contains(squid.Methods, string(method)) {
			method = withheld
		}
	}
	out = append(append(out, methodBegin...), method...)
	out = append(append(out, urlBegin...), url...)
	return append(append(out, rest[end:]...), '\n')
}

// copyAccessLog copies the access log, and counts what it leaves out. The destination takes lines
// from several goroutines, as a file does.
func copyAccessLog(destination io.Writer, source io.Reader, log *accessLog) error {
	log.refused.count = func(rest []byte) {
		line := append([]byte{'{'}, *log.egress.Load()...)
		destination.Write(append(line, rest...)) // an error shows at the next line of the log
	}
	defer log.refused.close()
	return copyLines(destination, source, log.become)
}
