package main

import (
	"bytes"
	"io"
	"sync/atomic"
)

// egressField is the member that a line of the access log gets, ready to be copied: "egress":"203.0.113.9", with the comma.
type egressField struct{ text atomic.Pointer[[]byte] }

// unknownEgress stands for an address that nobody has told yet.
const unknownEgress = "-"

func newEgressField() *egressField {
	f := new(egressField)
	f.set(unknownEgress)
	return f
}

// set takes an address in its usual form, which needs no quoting.
func (f *egressField) set(address string) {
	text := []byte(`"egress":"` + address + `",`)
	f.text.Store(&text)
}

// copyLog copies Squid's standard output and puts the egress address into each of its lines that is a JSON object, as the
// first member. Everything else passes unchanged, also a last line without its end. Squid waits while nobody reads, so it
// takes big reads, and a write for each read.
func copyLog(destination io.Writer, source io.Reader, egress *egressField) error {
	in := make([]byte, 64<<10)
	out := make([]byte, 0, 2*len(in))
	var m marker
	for {
		n, err := source.Read(in)
		if n > 0 {
			out = m.mark(out[:0], in[:n], *egress.text.Load())
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
	}
}

// marker remembers how a read ended, because a line may begin in one read and go on in any number of others.
type marker struct{ within position }

type position int

const (
	lineStart position = iota
	afterBrace
	inLine
)

// mark appends in to out, with field behind each brace that opens a line and is followed by a first member.
func (m *marker) mark(out, in, field []byte) []byte {
	for len(in) > 0 {
		switch m.within {
		case lineStart:
			m.within = inLine
			if in[0] == '{' {
				m.within = afterBrace
				out, in = append(out, '{'), in[1:]
			}
		case afterBrace:
			m.within = inLine
			if in[0] == '"' {
				out = append(out, field...)
			}
		case inLine:
			end := bytes.IndexByte(in, '\n') + 1
			if end == 0 {
				return append(out, in...)
			}
			m.within = lineStart
			out, in = append(out, in[:end]...), in[end:]
		}
	}
	return out
}
