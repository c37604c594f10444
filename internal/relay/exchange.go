package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// uploadGrace is how long the end of an upload may take to be known after the answer has come.
const uploadGrace = 20 * time.Millisecond

// exchange is a request on its way.
type exchange struct {
	*request
	answer *head
	status int
	upload chan error // of a body that is sent while the answer is awaited
}

// uploaded reports whether the body has been sent. The answer to its last byte can come before the
// goroutine that sent it says so.
func (x *exchange) uploaded() bool {
	if x.upload == nil {
		return true
	}
	select {
	case err := <-x.upload:
		x.upload <- err
		return err == nil
	case <-time.After(uploadGrace):
		return false
	}
}

// send sends a request, on a new link if there is none, until the head of its answer has come. An
// error leaves the link as it is.
func (c *client) send(x *exchange) (err error) {
	hasBody := !x.body.none()
	for again := false; ; again = true {
		if c.link == nil {
			if c.link, err = c.s.connect(x.session, hasBody); err != nil {
				return err
			}
		}
		p := c.link.port
		if err := c.ask(x); err != nil {
			return classify(p, err, "connection_terminated")
		}
		if x.status != http.StatusProxyAuthRequired {
			return nil
		}
		goesOn, err := c.link.challenged(x.answer)
		switch {
		case p.fleet.User == "":
			return wrongSetup(p, fmt.Errorf("%s asks for a password, and there is no user", p.address()))
		case err != nil:
			return err
		case again:
			return wrongSetup(p, fmt.Errorf("%s refuses the password of %s", p.address(), p.fleet.User))
		case hasBody:
			return &problem{"proxy_internal_error", p,
				errors.New("the fleet's nonce ended early, and the body cannot be sent twice; try again"), false}
		case !goesOn:
			c.drop()
		}
	}
}

// ask sends a request once and reads its answer's head. Interim answers go to the client.
func (c *client) ask(x *exchange) error {
	l := c.link
	authorization, err := l.port.fleet.login.answer(x.method, x.target)
	if err != nil {
		return wrongSetup(l.port, err)
	}
	upload := func() error {
		head := func(w *bufio.Writer) { writeRequest(w, x.request, authorization) }
		_, err := transfer(l.Conn, head, c.r, c.conn, x.body, true)
		if err != nil {
			// The fleet must not wait for the rest, and its answer may be on its way.
			closeWrite(l.Conn)
		}
		return err
	}
	if !x.body.chunked && x.body.length <= int64(c.r.Buffered()) {
		if err := upload(); err != nil {
			return err
		}
	} else {
		done := make(chan error, 1)
		x.upload = done
		go func() { done <- upload() }()
	}
	for {
		h, err := readHead(l.r, maxAnswerHead)
		if err == io.EOF {
			err = errors.New("the fleet closed the connection without an answer")
		}
		if err != nil {
			return err
		}
		x.answer = h
		if x.status, err = h.status(); err != nil {
			return err
		}
		switch {
		case x.status == http.StatusSwitchingProtocols:
			return fmt.Errorf("%w: nobody asked for another protocol", errMalformed)
		case x.status >= 200:
			return nil
		case !x.old:
			if err := writeTo(c.conn, func(w *bufio.Writer) { h.write(w, "") }); err != nil {
				return err
			}
		}
	}
}

// write writes an answer's head, with fields more.
func (h *head) write(w *bufio.Writer, fields string) {
	w.WriteString(h.line + "\r\n")
	h.writeFields(w)
	w.WriteString(fields + "\r\n")
}

// deliver passes an answer on. An error means that the client did not get all of it.
func (c *client) deliver(x *exchange, e *Event) (goesOn bool, err error) {
	l := c.link
	e.Status = x.status
	if x.method == http.MethodConnect && x.status < 300 {
		if err := writeTo(c.conn, func(w *bufio.Writer) { x.answer.write(w, "") }); err != nil {
			return false, err
		}
		e.Sent, e.Received = join(c.conn, c.r, l)
		c.r = nil
		return false, nil
	}
	b, err := x.answer.framing(-1)
	if err != nil {
		e.Status = 0
		return false, &problem{"http_response_incomplete", l.port, err, false}
	}
	if x.method == http.MethodHead || x.status == http.StatusNoContent || x.status == http.StatusNotModified {
		b = body{}
	}
	goesOn = x.keeps() && x.uploaded() && b.length >= 0 && !(x.old && b.chunked) &&
		!x.answer.has("Connection", "close") && strings.HasPrefix(x.answer.line, "HTTP/1.1") && !c.s.ending.Load()
	fields := ""
	if b.chunked && !x.old {
		fields = "Transfer-Encoding: chunked\r\n"
	}
	if !goesOn {
		fields += "Connection: close\r\n"
	} else if x.old {
		fields += "Connection: keep-alive\r\n"
	}
	head := func(w *bufio.Writer) { x.answer.write(w, fields) }
	e.Received, err = transfer(c.conn, head, l.r, l.Conn, b, !x.old)
	return goesOn && err == nil, err
}
