package relay

import (
	"bufio"
	"bytes"
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

// lingerTime is how long a client may take to read an answer while it is still sending.
const lingerTime = 2 * time.Second

// client is a client's connection.
type client struct {
	s    *Server
	conn *net.TCPConn
	r    *bufio.Reader
	link *link // nil before the first request
}

// serve answers requests until the connection is over.
func (c *client) serve() {
	c.r = newReader(c.conn)
	defer func() {
		c.drop()
		release(c.r)
	}()
	for wait := firstTimeout; c.s.setIdle(c.conn, true); wait = idleTimeout {
		c.conn.SetReadDeadline(time.Now().Add(wait))
		_, err := c.r.Peek(1)
		if !c.s.setIdle(c.conn, false) || err != nil {
			return
		}
		// Most heads have come with their first byte. Setting a deadline has a price.
		if come, _ := c.r.Peek(c.r.Buffered()); !bytes.Contains(come, []byte("\r\n\r\n")) {
			c.conn.SetReadDeadline(time.Now().Add(headTimeout))
		}
		h, err := readHead(c.r, maxRequestHead)
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
	}
}

// drop ends the connection to the fleet.
func (c *client) drop() {
	if c.link != nil {
		c.link.close()
		c.link = nil
	}
}

// answer answers a request and reports whether the connection goes on.
func (c *client) answer(r *request) bool {
	if r.method != http.MethodConnect && isOwn(r) {
		return c.own(r)
	}
	var err error
	r.session, err = sessionOf(r.get("Proxy-Authorization"))
	if err == nil && r.session == "" && c.s.o.RequireSession {
		err = errors.New("a session is required: any user name, with any password")
	}
	if err != nil {
		return c.say(r, http.StatusProxyAuthRequired, "", err,
			"Proxy-Authenticate: Basic realm=\"session as the user name, any password\", charset=\"UTF-8\"")
	}
	if r.method == http.MethodConnect || !r.body.none() {
		c.conn.SetReadDeadline(time.Time{})
	}
	e := Event{Kind: Request, Time: time.Now(), Client: c.conn.RemoteAddr().(*net.TCPAddr).AddrPort(),
		Session: r.session, Method: r.method, Target: r.destination()}
	goesOn := c.passOn(r, &e)
	c.s.report(e)
	return goesOn
}

// passOn sends a request to a fleet and its answer to the client.
func (c *client) passOn(r *request, e *Event) (goesOn bool) {
	if l := c.link; l != nil && (r.method == http.MethodConnect || l.session != r.session || !l.alive()) {
		c.drop()
	}
	x := &exchange{request: r}
	err := c.send(x)
	if c.link != nil {
		e.at(c.link.port)
		defer c.s.count(r.session, c.link.port)()
	}
	stale := err != nil && c.link != nil && c.link.used && x.answer == nil
	if err == nil {
		goesOn, err = c.deliver(x, e)
	}
	if err != nil {
		e.Error = err.Error()
	}
	if goesOn {
		c.link.used = true
		return true
	}
	c.drop()
	cut := false // The client has not sent all of its body.
	if x.upload != nil {
		c.conn.SetReadDeadline(time.Unix(1, 0))
		cut = <-x.upload != nil
	}
	switch {
	case stale:
		// The client's connection was idle as well, and ends as this one did: the client knows best
		// whether to try again.
	case e.Status == 0:
		trouble := Event{Time: time.Now(), Kind: Trouble, Error: err.Error()}
		if p, _ := errors.AsType[*problem](err); p != nil && p.port != nil {
			trouble.at(p.port)
		}
		c.s.report(trouble)
		e.Status = http.StatusBadGateway
		return c.say(r, e.Status, "", err)
	case cut:
		c.linger()
	}
	return false
}

// linger lets a client that is still sending read its answer: closing at once would reset it.
func (c *client) linger() {
	c.conn.CloseWrite()
	c.conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, c.conn)
}

// say explains an answer of the relay's own in one line. kind is RFC 9209's; a problem has its own.
func (c *client) say(r *request, status int, kind string, why error, fields ...string) (goesOn bool) {
	next := ""
	if p, is := errors.AsType[*problem](why); is {
		kind = p.kind
		if p.port != nil {
			next = "; next-hop=" + quoted(p.port.address())
		}
	}
	if kind != "" {
		// A quoted string holds ASCII only.
		details := quoted(strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, why.Error()))
		fields = append(fields, "Proxy-Status: squidfleet-relay; error="+kind+next+"; details="+details)
	}
	return c.reply(r, status, "relay: "+why.Error()+"\n", append(fields, "Content-Type: text/plain; charset=utf-8")...)
}

// reply gives an answer of the relay's own and reports whether the connection goes on.
func (c *client) reply(r *request, status int, text string, fields ...string) (goesOn bool) {
	// A body that nobody has read would be taken for the next request.
	goesOn = r != nil && r.keeps() && r.body.none() && !c.s.ending.Load()
	connection := "close"
	if goesOn {
		connection = "keep-alive"
	}
	writeTo(c.conn, func(w *bufio.Writer) { // An error shows with the next request.
		fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\nConnection: %s\r\n"+
			"Cache-Control: no-store\r\n%s\r\n\r\n",
			status, http.StatusText(status), len(text), connection, strings.Join(fields, "\r\n"))
		if r == nil || r.method != http.MethodHead {
			w.WriteString(text)
		}
	})
	if !goesOn {
		c.linger()
	}
	return goesOn
}
