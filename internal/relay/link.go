package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// Times for a connection to a fleet.
const (
	dialTimeout      = 10 * time.Second // for each of a name's addresses
	challengeTimeout = 10 * time.Second
	retryPause       = 100 * time.Millisecond // and twice as long the next time
)

// link is a connection to a fleet's port.
type link struct {
	net.Conn
	r       *bufio.Reader
	port    *port
	session string
	used    bool // it has served a request
	stop    func() bool
}

// close ends the link. Nobody may use it any more.
func (l *link) close() {
	l.stop()
	l.Close()
	l.port.open.Add(-1)
	release(l.r)
}

// connect connects for a request: with one port of the plan after the other, until the fleet is
// ready to take the request with credentials.
func (s *Server) connect(session string, hasBody bool) (*link, error) {
	plan, err := s.plan(session)
	if err != nil {
		return nil, wrongSetup(nil, err)
	}
	for i, p := range plan {
		if i > 0 && p == plan[i-1] {
			select {
			case <-time.After(retryPause << (i - 1)):
			case <-s.ctx.Done():
			}
		}
		kind := "destination_unavailable"
		l, failed := s.dial(p)
		if failed == nil {
			if failed = s.introduce(l, hasBody); failed == nil {
				l.session = session
				return l, nil
			}
			l.close()
			kind = "connection_terminated"
		}
		why := classify(p, failed, kind)
		if err = why; why.final || s.ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// dial connects to a port.
func (s *Server) dial(p *port) (*link, error) {
	addresses, err := p.fleet.addresses(s.ctx)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	for _, address := range addresses {
		at := netip.AddrPortFrom(address, uint16(p.port)).String()
		if conn, err = p.fleet.dialer.DialContext(s.ctx, "tcp", at); err == nil {
			break
		}
	}
	if err != nil {
		p.fleet.forget()
		return nil, err
	}
	p.open.Add(1)
	stop := context.AfterFunc(s.ctx, func() { conn.Close() })
	return &link{Conn: conn, r: newReader(conn), port: p, stop: stop}, nil
}

// nowhere is asked for when the fleet is to say what it wants. It does so before it looks at names.
const nowhere = "challenge.invalid:443"

// introduce fetches a challenge if there is none. One connection does so for all that wait.
func (s *Server) introduce(l *link, hasBody bool) error {
	login := l.port.fleet.login
	if login.ready(hasBody) {
		return nil
	}
	login.asking.Lock()
	defer login.asking.Unlock()
	if login.ready(hasBody) {
		return nil
	}
	l.SetDeadline(time.Now().Add(challengeTimeout))
	if _, err := io.WriteString(l, "CONNECT "+nowhere+" HTTP/1.1\r\nHost: "+nowhere+"\r\n\r\n"); err != nil {
		return err
	}
	answer, err := readHead(l.r, maxAnswerHead)
	if err != nil {
		return err
	}
	if code, err := answer.status(); err != nil || code != 407 {
		return wrongSetup(l.port, fmt.Errorf("%s asks for no password, and answers %q; leave the user out of its URL",
			l.port.fleet.endpoint(), answer.line))
	}
	again, err := l.challenged(answer)
	if err == nil && !again {
		err = errors.New("closed after the challenge")
	}
	if err != nil {
		return err
	}
	return l.SetDeadline(time.Time{})
}

// challenged takes a 407 and reports whether the link can take another request.
func (l *link) challenged(answer *head) (again bool, err error) {
	if err := l.port.fleet.login.learn(answer); err != nil {
		return false, wrongSetup(l.port, err)
	}
	b, err := answer.framing(-1)
	if err != nil || b.length == -1 || answer.has("Connection", "close") || answer.has("Proxy-Connection", "close") {
		return false, nil
	}
	_, err = transfer(io.Discard, nil, l.r, l.Conn, b, false)
	return err == nil, nil
}

// writeRequest writes a request's head.
func writeRequest(w *bufio.Writer, r *request, authorization string) {
	w.WriteString(r.method + " " + r.target + " HTTP/1.1\r\n")
	if r.get("Host") == "" {
		w.WriteString("Host: " + r.destination() + "\r\n")
	}
	r.writeFields(w)
	if authorization != "" {
		w.WriteString("Proxy-Authorization: " + authorization + "\r\n")
	}
	if r.body.chunked {
		w.WriteString("Transfer-Encoding: chunked\r\n")
	}
	if r.method != "CONNECT" && !r.keeps() {
		w.WriteString("Connection: close\r\n")
	}
	w.WriteString("\r\n")
}

// alive reports whether an idle link can be used again: the fleet has neither closed it nor sent
// anything.
func (l *link) alive() bool {
	conn := l.Conn
	if secure, is := conn.(*tls.Conn); is {
		conn = secure.NetConn()
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil || l.r.Buffered() > 0 {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && quiet
}

// address is how people name a port.
func (p *port) address() string { return net.JoinHostPort(p.fleet.Host, strconv.Itoa(p.port)) }
