package relay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
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
	h := &head{fields: make([]field, 0, 16)}
	for first := true; ; {
		line, err := readLine(r, &most)
		if err != nil {
			if err == io.EOF && !first {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		switch {
		case first && line == "": // Some clients end a body with a line too many.
		case first:
			h.line, first = line, false
		case line == "":
			return h, nil
		default:
			if err := h.add(line); err != nil {
				return nil, err
			}
		}
	}
}

// readLine reads a line without its end and takes its length off what is left.
func readLine(r *bufio.Reader, left *int) (string, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if *left -= len(part); *left < 0 {
			return "", errHeadTooLong
		}
		if err == bufio.ErrBufferFull {
			long = append(long, part...)
			continue
		}
		if err != nil {
			if err == io.EOF && len(long)+len(part) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		if long != nil {
			part = append(long, part...)
		}
		return string(bytes.TrimSuffix(part[:len(part)-1], []byte("\r"))), nil
	}
}

// add takes a field's line, or one that continues the field before.
func (h *head) add(line string) error {
	if line[0] == ' ' || line[0] == '\t' {
		if len(h.fields) == 0 {
			return fmt.Errorf("%w: the first field begins with a blank", errMalformed)
		}
		last := &h.fields[len(h.fields)-1]
		last.value = strings.Trim(last.value+" "+strings.Trim(line, " \t"), " ")
		return check(*last)
	}
	name, value, found := strings.Cut(line, ":")
	f := field{name, strings.Trim(value, " \t")}
	if !found {
		return fmt.Errorf("%w: a field without a colon", errMalformed)
	}
	h.fields = append(h.fields, f)
	return check(f)
}

func check(f field) error {
	if !isToken(f.name) || !isText(f.value) {
		return fmt.Errorf("%w: a field has bytes that it must not have", errMalformed)
	}
	return nil
}

// isToken reports whether a text is a token of RFC 9110: a method, or a field's name.
func isToken(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') &&
			!strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}) < 0
}

// isText reports whether a text has no control bytes, which could end its line.
func isText(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' && text[i] != '\t' || text[i] == 0x7f {
			return false
		}
	}
	return true
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
func (h *head) get(name string) string {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// has reports whether a field, a list, has an element.
func (h *head) has(name, element string) bool {
	return contains(h.values(name), element)
}

func contains(lists []string, element string) bool {
	for _, list := range lists {
		for one := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.Trim(one, " \t"), element) {
				return true
			}
		}
	}
	return false
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
			!same("Content-Length") && !same("Host") && contains(named, f.name) {
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

func (b body) none() bool { return b.length == 0 && !b.chunked }

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

// request is what a client wants.
type request struct {
	*head
	method, target string
	old            bool // HTTP/1.0
	body           body
	session        string
}

// parse reads the request line and the framing.
func (h *head) parse() (*request, error) {
	parts := strings.Split(h.line, " ")
	if len(parts) != 3 || !isToken(parts[0]) || parts[1] == "" ||
		!isText(parts[1]) || parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return nil, fmt.Errorf("%w: the request line", errMalformed)
	}
	r := &request{head: h, method: parts[0], target: parts[1], old: parts[2] == "HTTP/1.0"}
	if r.method == "CONNECT" {
		return r, nil
	}
	var err error
	r.body, err = h.framing(0)
	return r, err
}

// keeps reports whether the client wants to go on with its connection.
func (r *request) keeps() bool {
	if r.has("Connection", "close") || r.has("Proxy-Connection", "close") {
		return false
	}
	return !r.old || r.has("Connection", "keep-alive") || r.has("Proxy-Connection", "keep-alive")
}

// destination is the target's host, with its port if it has one, and nothing else of it.
func (r *request) destination() string {
	_, rest, found := strings.Cut(r.target, "://")
	if !found {
		if r.method == "CONNECT" {
			return r.target
		}
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest[strings.LastIndexByte(rest, '@')+1:]
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
