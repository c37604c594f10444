package differences

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/rig"
)

const (
	// host is the destination of all rows: every address of the namespace is the machine's own.
	host = "151.101.1.69"
	// timeout keeps a fault from holding the test. Every exchange ends by itself.
	timeout = 20 * time.Second

	endOfHead  = "\r\n\r\n"
	endOfInput = "\x00" // in no row
)

// Run repeats each row's exchange directly, through a tunnel and as a plain request of a client
// that the proxy serves. Version is the major version of the proxy's Squid.
func Run(t *testing.T, client rig.Client, version int) {
	if version != 5 && version != 6 {
		t.Fatalf("no row says what Squid %d does", version)
	}
	for _, row := range Rows {
		row.Method, row.Target = cmp.Or(row.Method, http.MethodGet), cmp.Or(row.Target, "/")
		if !row.Silent {
			row.Answer = cmp.Or(row.Answer, usual)
		}
		row.Direct = cmp.Or(row.Direct, hello)
		t.Run(row.What, func(t *testing.T) {
			proxied := cmp.Or(row.Image, row.Direct)
			if version == 5 {
				proxied = cmp.Or(row.Squid5, proxied)
			}
			for _, way := range []struct {
				name string
				open func(rig.Client, Row) (opened, error)
				want string
			}{
				{"directly", direct, row.Direct},
				{"through a tunnel", tunnel, cmp.Or(row.Tunnel, row.Direct)},
				{"through the proxy", plain, proxied},
			} {
				got, err := row.exchange(t, func() (opened, error) { return way.open(client, row) })
				if err != nil || got != way.want {
					t.Errorf("%s: %v\n got %s\nwant %s", way.name, err, got, way.want)
				}
			}
		})
	}
}

// opened is a connection to send a row's request on.
type opened struct {
	net.Conn
	// prefix comes before the path; credentials is a header line, empty where none is due.
	prefix, credentials string
}

func direct(rig.Client, Row) (opened, error) {
	conn, err := net.DialTimeout("tcp", host+":80", timeout)
	return opened{Conn: conn}, err
}

func tunnel(c rig.Client, _ Row) (opened, error) {
	conn, response, err := c.Tunnel(host + ":443")
	if err == nil && conn == nil {
		err = errors.New("no tunnel: " + response.Status)
	}
	return opened{Conn: conn}, err
}

func plain(c rig.Client, r Row) (opened, error) {
	const prefix = "http://" + host
	credentials, err := c.Credentials(r.Method, prefix+r.Target)
	if err != nil {
		return opened{}, err
	}
	conn, err := c.Dial()
	return opened{conn, prefix, credentials}, err
}

// exchange returns the outcome of the row's request on the connection that open makes.
func (r Row) exchange(t *testing.T, open func() (opened, error)) (string, error) {
	var sent rig.Buffer
	for _, port := range []int{80, 443} {
		defer rig.Raw(t, port, func(conn net.Conn) { r.serve(conn, &sent) })()
	}
	conn, err := open()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(timeout))
	received, err := r.request(conn)
	if err != nil {
		return "", fmt.Errorf("%w after %q", err, received)
	}
	return r.outcome(received, sent.String()), nil
}

// request sends the request and reads to the connection's end.
func (r Row) request(conn opened) (received []byte, err error) {
	lines := []string{r.Method + " " + conn.prefix + r.Target + " HTTP/1.1"}
	if !slices.ContainsFunc(r.Headers, func(line string) bool { return strings.HasPrefix(line, "Host:") }) {
		lines = append(lines, "Host: "+host)
	}
	lines = append(append(lines, r.Headers...), "Connection: close")
	if conn.credentials != "" {
		lines = append(lines, conn.credentials)
	}
	parts := []string{strings.Join(lines, "\r\n") + endOfHead + r.Body}
	if r.Waits {
		parts = []string{strings.TrimSuffix(parts[0], r.Body), r.Body}
	}
	for i, part := range parts {
		if i > 0 {
			if received, err = readUntil(conn, endOfHead); err != nil {
				return received, err
			}
		}
		if _, err := io.WriteString(conn, part); err != nil {
			return received, err
		}
	}
	if r.HalfCloses {
		if err := conn.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			return nil, err
		}
	}
	rest, err := readUntil(conn, endOfInput)
	return append(received, rest...), err
}

// serve is the destination on one connection.
func (r Row) serve(conn net.Conn, sent io.Writer) {
	from := io.TeeReader(conn, sent)
	readUntil(from, endOfHead)
	io.WriteString(conn, r.Interim)
	switch {
	case r.HalfCloses:
		readUntil(from, endOfInput)
	case r.Body != "":
		// What is behind the payload depends on whether it comes in chunks.
		readUntil(from, "payload")
	}
	io.WriteString(conn, r.Answer)
	// A close with unread bytes would reset the connection and take the answer with it.
	conn.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, conn)
}

// readUntil reads up to the mark or to the connection's end, and nothing behind the mark.
func readUntil(from io.Reader, mark string) (read []byte, err error) {
	for next := make([]byte, 1); !bytes.HasSuffix(read, []byte(mark)); {
		n, err := from.Read(next)
		read = append(read, next[:n]...)
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
	return read, nil
}

// outcome writes down what an exchange came to: the statuses and the body, or the bytes where Go
// reads no HTTP/1, or "of the proxy" for an answer that is its own; then the lines that count.
func (r Row) outcome(received []byte, sent string) string {
	words := "no answer"
	if len(received) > 0 {
		words = r.answerIn(received)
	}
	for _, line := range linesWith(string(received), r.Shown) {
		words += ", shown " + line
	}
	for _, line := range linesWith(sent, r.Sent) {
		words += ", sent " + line
	}
	return words
}

func (r Row) answerIn(received []byte) (words string) {
	reader := bufio.NewReader(bytes.NewReader(received))
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: r.Method})
		if err != nil {
			return words + fmt.Sprintf("bytes %q", received)
		}
		words += fmt.Sprint(response.StatusCode)
		if response.StatusCode < 200 {
			words += " "
			continue
		}
		body, err := io.ReadAll(response.Body)
		switch {
		case response.StatusCode >= 400 && !strings.Contains(r.Answer, string(body)):
			words += refusal
		case err != nil:
			words += fmt.Sprintf(" %q cut off", body)
		default:
			words += fmt.Sprintf(" %q", body)
		}
		return words
	}
}

func linesWith(text string, beginnings []string) (lines []string) {
	for _, line := range strings.Split(text, "\r\n") {
		if slices.ContainsFunc(beginnings, func(b string) bool {
			return len(line) >= len(b) && strings.EqualFold(line[:len(b)], b)
		}) {
			lines = append(lines, line)
		}
	}
	return lines
}
