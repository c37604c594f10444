package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Times for a client's connection. Tests shorten them.
var (
	firstTimeout = time.Minute     // until its first request begins
	idleTimeout  = 5 * time.Minute // between requests
	headTimeout  = 30 * time.Second
)

const uploadGrace = 20 * time.Millisecond

// lingerTime is how long a client may take to read an answer while it is still sending.
const lingerTime = 2 * time.Second

// client is a client's connection.
type client struct {
	s    *Server
	conn *net.TCPConn
	r    *bufio.Reader
	link *link // of its plain requests; nil before the first
	idle bool  // Server.mu guards it
}

// serve answers requests until the connection is over.
func (c *client) serve() {
	defer func() {
		if c.link != nil {
			c.link.close()
		}
		c.conn.Close()
		if c.r != nil {
			release(c.r)
		}
	}()
	wait := firstTimeout
	for c.s.setIdle(c, true) {
		c.conn.SetReadDeadline(time.Now().Add(wait))
		_, err := c.r.Peek(1)
		if !c.s.setIdle(c, false) || err != nil {
			return
		}
		c.conn.SetReadDeadline(time.Now().Add(headTimeout))
		h, err := readHead(c.r, maxRequestHead)
		c.conn.SetReadDeadline(time.Time{})
		var r *request
		if err == nil {
			r, err = h.parse()
		}
		switch {
		case errors.Is(err, errHeadTooLong):
			c.say(nil, http.StatusRequestHeaderFieldsTooLarge, "http_request_error", err)
		case errors.Is(err, errMalformed):
			c.say(nil, http.StatusBadRequest, "http_request_error", err)
		}
		if err != nil || !c.answer(r) {
			return
		}
		wait = idleTimeout
	}
}

// answer answers a request and reports whether the connection goes on.
func (c *client) answer(r *request) bool {
	if r.method != http.MethodConnect && isOwn(r) {
		return c.own(r)
	}
	session, err := sessionOf(r.get("Proxy-Authorization"))
	if err == nil && session == "" && c.s.o.RequireSession {
		err = errors.New("a session is required: any user name, with any password")
	}
	if err != nil {
		return c.say(r, http.StatusProxyAuthRequired, "", err,
			"Proxy-Authenticate: Basic realm=\"session as the user name, any password\", charset=\"UTF-8\"")
	}
	r.session = session
	e := Event{Kind: Request, Time: time.Now(), Client: c.conn.RemoteAddr().String(), Session: session,
		Method: r.method, Target: r.destination()}
	goesOn := c.passOn(r, &e)
	c.s.report(e)
	return goesOn
}

// passOn sends a request to a fleet and its answer to the client.
func (c *client) passOn(r *request, e *Event) (goesOn bool) {
	if c.link != nil && (r.method == http.MethodConnect || c.link.session != r.session || !c.link.alive()) {
		c.link.close()
		c.link = nil
	}
	x, err := c.exchange(r)
	c.link = nil
	if x.link != nil {
		e.Fleet, e.Number, e.Port = x.link.port.fleet.String(), x.link.port.number, x.link.port.port
		defer c.s.count(r.session, x.link.port)()
	}
	stale := err != nil && x.link != nil && x.link.used && x.answer == nil
	if err == nil {
		goesOn, err = c.deliver(r, x, e)
	}
	if err != nil {
		e.Error = err.Error()
	}
	switch {
	case stale:
		// The client's connection was idle as well, and ends as this one did: the client knows best
		// whether to try again.
		x.drop()
		return false
	case e.Status == 0:
		x.drop()
		c.s.trouble(err)
		e.Status = http.StatusBadGateway
		return c.say(r, e.Status, "", err)
	case goesOn:
		x.link.used = true
		c.link = x.link
	case x.drop():
		c.linger()
	}
	return goesOn
}

// exchange is a request on its way.
type exchange struct {
	link   *link
	answer *head
	status int
	upload chan error // of the request's body; nil without one
	client *client
}

// drop ends the exchange and its link. It reports whether the client has not sent all of its body.
func (x *exchange) drop() (cut bool) {
	if x.link != nil {
		x.link.close()
	}
	if x.upload == nil {
		return false
	}
	x.client.conn.SetReadDeadline(time.Unix(1, 0))
	return <-x.upload != nil
}

// uploaded reports whether the body has been sent. The answer to its last byte can come before the
// goroutine that sent it says so.
func (x *exchange) uploaded() bool {
	if x.upload == nil {
		return true
	}
	select {
	case err := <-x.upload:
		if err == nil {
			x.upload = nil
			return true
		}
		x.upload <- err
	case <-time.After(uploadGrace):
	}
	return false
}

// exchange sends a request and returns the head of its answer. An error leaves the link as it is.
func (c *client) exchange(r *request) (x *exchange, err error) {
	x = &exchange{link: c.link, client: c}
	for again := false; ; again = true {
		if x.link == nil {
			if x.link, err = c.s.connect(c.s.ctx, r.session, !r.body.none()); err != nil {
				return x, err
			}
		}
		if err = x.send(r); err != nil {
			return x, classify(x.link.port, err, "connection_terminated")
		}
		if x.status != http.StatusProxyAuthRequired {
			return x, nil
		}
		p := x.link.port
		if p.fleet.User == "" {
			return x, wrongSetup(p, fmt.Errorf("%s asks for a password, and there is no user", p.address()))
		}
		goesOn, err := c.s.challenged(x.link, x.answer)
		switch {
		case err != nil:
			return x, err
		case again:
			return x, wrongSetup(p, fmt.Errorf("%s refuses the password of %s", p.address(), p.fleet.User))
		case !r.body.none():
			return x, &problem{"proxy_internal_error", p,
				errors.New("the fleet's nonce ended early, and the body cannot be sent twice; try again"), false}
		case !goesOn:
			x.link.close()
			x.link = nil
		}
	}
}

// send sends a request and reads its answer's head. Interim answers go to the client.
func (x *exchange) send(r *request) error {
	if err := x.link.sendHead(r); err != nil {
		return err
	}
	c, l := x.client, x.link
	if !r.body.none() {
		done := make(chan error, 1)
		x.upload = done
		go func() {
			_, err := copyBody(l.Conn, c.r, c.conn, r.body, true)
			if err != nil {
				// The fleet must not wait for the rest, and its answer may be on its way.
				closeWrite(l.Conn)
			}
			done <- err
		}()
	}
	for {
		h, err := readHead(l.r, maxAnswerHead)
		if err != nil {
			if err == io.EOF {
				err = errors.New("the fleet closed the connection without an answer")
			}
			return err
		}
		x.answer = h
		if x.status, err = h.status(); err != nil {
			return err
		}
		if x.status == http.StatusSwitchingProtocols {
			return fmt.Errorf("%w: nobody asked for another protocol", errMalformed)
		}
		if x.status >= 200 {
			return nil
		}
		if !r.old {
			if err := c.head(h, ""); err != nil {
				return err
			}
		}
	}
}

// head writes an answer's head to the client, with one field more if it is not empty.
func (c *client) head(h *head, extra string) error {
	return writeTo(c.conn, func(w *bufio.Writer) {
		w.WriteString(h.line + "\r\n")
		h.writeFields(w)
		w.WriteString(extra + "\r\n")
	})
}

// deliver passes an answer on. An error means that the client did not get all of it.
func (c *client) deliver(r *request, x *exchange, e *Event) (goesOn bool, err error) {
	e.Status = x.status
	if r.method == http.MethodConnect && x.status < 300 {
		if err := c.head(x.answer, ""); err != nil {
			return false, err
		}
		e.Sent, e.Received = join(c.conn, c.r, x.link)
		c.r = nil
		return false, nil
	}
	b, err := x.answer.framing(-1)
	if err != nil {
		e.Status = 0
		return false, &problem{"http_response_incomplete", x.link.port, err, false}
	}
	if r.method == http.MethodHead || x.status == http.StatusNoContent || x.status == http.StatusNotModified {
		b = body{}
	}
	goesOn = r.keeps() && x.uploaded() && b.length >= 0 && !(r.old && b.chunked) &&
		!x.answer.has("Connection", "close") && strings.HasPrefix(x.answer.line, "HTTP/1.1") && !c.s.draining()
	extra := ""
	if b.chunked && !r.old {
		extra = "Transfer-Encoding: chunked\r\n"
	}
	if !goesOn {
		extra += "Connection: close\r\n"
	} else if r.old {
		extra += "Connection: keep-alive\r\n"
	}
	if err := c.head(x.answer, extra); err != nil {
		return false, err
	}
	e.Received, err = copyBody(c.conn, x.link.r, x.link.Conn, b, !r.old)
	return goesOn && err == nil, err
}

// linger lets a client that is still sending read its answer: closing at once would reset it.
func (c *client) linger() {
	c.conn.CloseWrite()
	c.conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, c.conn)
}

// say gives an answer of the relay's own, in one line, and reports whether the connection goes on.
// kind is RFC 9209's; a problem has its own.
func (c *client) say(r *request, status int, kind string, why error, fields ...string) bool {
	var p *problem
	next := ""
	if errors.As(why, &p) {
		kind = p.kind
		if p.port != nil {
			next = fmt.Sprintf("; next-hop=%s", quoted(p.port.address()))
		}
	}
	if kind != "" {
		details := quoted(printable(why.Error()))
		fields = append(fields, "Proxy-Status: squidfleet-relay; error="+kind+next+"; details="+details)
	}
	// A body that nobody has read would be taken for the next request.
	goesOn := r != nil && r.keeps() && r.body.none() && !c.s.draining()
	fields = append(fields, "Content-Type: text/plain; charset=utf-8")
	c.reply(r, status, "relay: "+why.Error()+"\n", goesOn, fields...)
	if !goesOn {
		c.linger()
	}
	return goesOn
}

// reply writes an answer of the relay's own.
func (c *client) reply(r *request, status int, text string, goesOn bool, fields ...string) {
	connection := "close"
	if goesOn {
		connection = "keep-alive"
	}
	writeTo(c.conn, func(w *bufio.Writer) { // An error shows with the next request.
		fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\nConnection: %s\r\nCache-Control: no-store\r\n",
			status, http.StatusText(status), len(text), connection)
		w.WriteString(strings.Join(fields, "\r\n") + "\r\n\r\n")
		if r == nil || r.method != http.MethodHead {
			w.WriteString(text)
		}
	})
}

// printable leaves what a field's quoted string may hold.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
