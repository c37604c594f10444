package relay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// head is the first line and the fields of a message, in their order and spelling.
type head struct {
	line   string
	fields []field
}

type field struct{ name, value string }

// Limits of heads. A fleet takes requests of 17 KB, and passes on answers below 64 KB.
const (
	maxRequestHead = 32 << 10
	maxAnswerHead  = 96 << 10
)

var (
	errHeadTooLong = errors.New("the head is too long")
	errMalformed   = errors.New("malformed")
)

// readHead reads a head. io.EOF means that there was not a byte of one.
func readHead(r *bufio.Reader, most int) (*head, error) {
	text, err := readLines(r, most)
	if err == nil && text == "" { // Some clients end a body with a line too many.
		text, err = readLines(r, most)
	}
	if err != nil {
		return nil, err
	}
	h := &head{fields: make([]field, 0, strings.Count(text, "\n"))}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if h.line == "" {
			h.line = line
		} else if err := h.add(line); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// readLines reads lines up to an empty one, which it leaves out.
func readLines(r *bufio.Reader, most int) (string, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		text = append(text, part...)
		before := bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		switch {
		case len(text) > most:
			return "", errHeadTooLong
		case err == io.EOF && len(text) > 0:
			return "", io.ErrUnexpectedEOF
		case err == nil && (len(before) == 0 || before[len(before)-1] == '\n'):
			return string(before), nil
		case err != nil && err != bufio.ErrBufferFull:
			return "", err
		}
	}
}

// add takes a field's line, or one that continues the field before.
func (h *head) add(line string) error {
	name, value, found := strings.Cut(line, ":")
	if last := len(h.fields) - 1; last >= 0 && strings.ContainsAny(line[:1], " \t") {
		name, value, found = h.fields[last].name, h.fields[last].value+" "+strings.Trim(line, " \t"), true
		h.fields = h.fields[:last]
	}
	f := field{name, strings.Trim(value, " \t")}
	if !found || !httpguts.ValidHeaderFieldName(f.name) || !httpguts.ValidHeaderFieldValue(f.value) {
		return fmt.Errorf("%w: a field's line", errMalformed)
	}
	h.fields = append(h.fields, f)
	return nil
}

func (h *head) values(name string) (values []string) {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// get is the first value of a field, or "".
func (h *head) get(name string) string { return append(h.values(name), "")[0] }

// has reports whether a field, a list, has an element.
func (h *head) has(name, element string) bool {
	return httpguts.HeaderValuesContainsToken(h.values(name), element)
}

// hopByHop are fields for the next hop only, besides those that Connection names. Expect goes on,
// because the body waits for the answer to it.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// writeFields writes what is for more than this hop.
func (h *head) writeFields(w *bufio.Writer) {
	named := h.values("Connection")
	for _, f := range h.fields {
		same := func(name string) bool { return strings.EqualFold(name, f.name) }
		if slices.ContainsFunc(hopByHop, same) ||
			!same("Content-Length") && !same("Host") && httpguts.HeaderValuesContainsToken(named, f.name) {
			continue
		}
		w.WriteString(f.name)
		w.WriteString(": ")
		w.WriteString(f.value)
		w.WriteString("\r\n")
	}
}

// body is where a message's body ends.
type body struct {
	length  int64 // -1: with the connection
	chunked bool
}

func (b body) none() bool { return b == body{} }

// framing reads where the body ends. What two readers could read differently is an error. open is
// what a message has without a length: 0, or -1.
func (h *head) framing(open int64) (body, error) {
	lengths, codings := h.values("Content-Length"), h.values("Transfer-Encoding")
	switch {
	case len(codings) > 0 && (len(codings) > 1 || !strings.EqualFold(codings[0], "chunked")):
		return body{}, fmt.Errorf("%w: a transfer coding that is not chunked", errMalformed)
	case len(codings) > 0 && len(lengths) > 0:
		return body{}, fmt.Errorf("%w: a length and chunks", errMalformed)
	case len(codings) > 0:
		return body{chunked: true}, nil
	case len(lengths) == 0:
		return body{length: open}, nil
	}
	n, err := strconv.ParseUint(lengths[0], 10, 63)
	if err != nil || len(slices.Compact(lengths)) > 1 {
		return body{}, fmt.Errorf("%w: the length", errMalformed)
	}
	return body{length: int64(n)}, nil
}

// status reads an answer's line.
func (h *head) status() (int, error) {
	version, rest, _ := strings.Cut(h.line, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || len(code) != 3 || n < 100 || !strings.HasPrefix(version, "HTTP/1.") {
		return 0, fmt.Errorf("%w: the answer's first line", errMalformed)
	}
	return int(n), nil
}

// request is what a client wants.
type request struct {
	*head
	method, target string
	old            bool // HTTP/1.0
	body           body
	session        string
}

// parse reads the request line and the framing.
func (h *head) parse() (r *request, err error) {
	parts := strings.Split(h.line, " ")
	if len(parts) != 3 || !httpguts.ValidHeaderFieldName(parts[0]) || parts[1] == "" ||
		!httpguts.ValidHeaderFieldValue(parts[1]) || parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return nil, fmt.Errorf("%w: the request line", errMalformed)
	}
	r = &request{head: h, method: parts[0], target: parts[1], old: parts[2] == "HTTP/1.0"}
	if r.method != http.MethodConnect {
		r.body, err = h.framing(0)
	}
	return r, err
}

// keeps reports whether the client wants to go on with its connection.
func (r *request) keeps() bool {
	says := func(what string) bool { return r.has("Connection", what) || r.has("Proxy-Connection", what) }
	return !says("close") && (!r.old || says("keep-alive"))
}

// destination is the target's host, with its port if it has one, and nothing else of it.
func (r *request) destination() string {
	_, rest, found := strings.Cut(r.target, "://")
	switch {
	case r.method == http.MethodConnect:
		return r.target
	case !found:
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest[strings.LastIndexByte(rest, '@')+1:]
}
