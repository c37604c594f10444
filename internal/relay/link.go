package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
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

var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 4<<10) }}
)

func newReader(from io.Reader) *bufio.Reader {
	r := readers.Get().(*bufio.Reader)
	r.Reset(from)
	return r
}

// release gives a reader back.
func release(r *bufio.Reader) {
	r.Reset(nil)
	readers.Put(r)
}

// closeWrite ends a connection's own half.
func closeWrite(conn net.Conn) error { return conn.(interface{ CloseWrite() error }).CloseWrite() }

// writeTo has a function write into a buffer, and sends it.
func writeTo(w io.Writer, write func(w *bufio.Writer)) error {
	b := writers.Get().(*bufio.Writer)
	b.Reset(w)
	write(b)
	err := b.Flush()
	b.Reset(nil)
	writers.Put(b)
	return err
}

// close ends the link. Nobody may use it any more.
func (l *link) close() {
	l.stop()
	l.Close()
	l.port.open.Add(-1)
	if l.r != nil {
		release(l.r)
		l.r = nil
	}
}

// problem is why a request could not be sent on or answered.
type problem struct {
	kind string // of RFC 9209
	port *port  // nil: none was chosen
	err  error
	// final: another connection would not help.
	final bool
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

// wrongSetup is a problem that only the operator can solve.
func wrongSetup(p *port, err error) *problem {
	return &problem{"proxy_configuration_error", p, err, true}
}

// classify gives an error of the network its kind. Without a better one it is other.
func classify(p *port, err error, other string) *problem {
	var already *problem
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &already):
		return already
	case errors.As(err, &certificate), errors.As(err, new(x509.UnknownAuthorityError)):
		return &problem{"tls_certificate_error", p, err, true}
	case errors.As(err, &dns):
		other = "dns_error"
	case errors.Is(err, syscall.ECONNREFUSED):
		other = "connection_refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		other = "connection_timeout"
	}
	return &problem{other, p, err, false}
}

// connect connects for a request: with one port of the plan after the other, until the fleet is
// ready to take the request with credentials.
func (s *Server) connect(ctx context.Context, session string, hasBody bool) (*link, error) {
	plan, err := s.plan(session)
	if err != nil {
		return nil, wrongSetup(nil, err)
	}
	for i, p := range plan {
		if i > 0 && p == plan[i-1] {
			select {
			case <-time.After(retryPause << (i - 1)):
			case <-ctx.Done():
				return nil, err
			}
		}
		var l *link
		if l, err = s.dial(ctx, p); err == nil {
			l.session = session
			if err = s.introduce(l, hasBody); err == nil {
				return l, nil
			}
			l.close()
			err = classify(p, err, "connection_terminated")
		}
		var known *problem
		if errors.As(err, &known) && known.final || ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// dial connects to a port.
func (s *Server) dial(ctx context.Context, p *port) (*link, error) {
	f := p.fleet
	addresses, err := f.addresses(ctx)
	if err != nil {
		return nil, classify(p, err, "dns_error")
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	var conn net.Conn
	for _, address := range addresses {
		var tcp *net.TCPConn
		tcp, err = dialer.DialTCP(ctx, "tcp", netip.AddrPort{}, netip.AddrPortFrom(address, uint16(p.port)))
		if err == nil {
			conn = tcp
			break
		}
	}
	if err != nil {
		f.forget()
		return nil, classify(p, err, "destination_unavailable")
	}
	if f.tls != nil {
		secure := tls.Client(conn, f.tls)
		limited, cancel := context.WithTimeout(ctx, dialTimeout)
		err := secure.HandshakeContext(limited)
		cancel()
		if err != nil {
			conn.Close()
			return nil, classify(p, err, "tls_protocol_error")
		}
		conn = secure
	}
	l := &link{Conn: conn, r: newReader(conn), port: p}
	l.stop = context.AfterFunc(ctx, func() { conn.Close() })
	p.open.Add(1)
	return l, nil
}

// nowhere is asked for when the fleet is to say what it wants. It does so before it looks at names.
const nowhere = "challenge.invalid:443"

// introduce fetches a challenge if there is none. One connection does so for all that wait.
func (s *Server) introduce(l *link, hasBody bool) error {
	login := l.port.fleet.login
	if login.user == "" || login.current(hasBody) != nil {
		return nil
	}
	login.asking.Lock()
	defer login.asking.Unlock()
	if login.current(hasBody) != nil {
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
	again, err := s.challenged(l, answer)
	if err != nil {
		return err
	}
	if !again {
		return &problem{kind: "connection_terminated", port: l.port, err: errors.New("closed after the challenge")}
	}
	return l.SetDeadline(time.Time{})
}

// challenged takes a 407 and reports whether the link can take another request.
func (s *Server) challenged(l *link, answer *head) (again bool, err error) {
	if err := l.port.fleet.login.learn(answer); err != nil {
		return false, wrongSetup(l.port, err)
	}
	b, err := answer.framing(-1)
	if err != nil || b.length == -1 || answer.has("Connection", "close") || answer.has("Proxy-Connection", "close") {
		return false, nil
	}
	if _, err := copyBody(io.Discard, l.r, l.Conn, b, false); err != nil {
		return false, nil
	}
	return true, nil
}

// sendHead sends a request's head with credentials.
func (l *link) sendHead(r *request) error {
	login, authorization := l.port.fleet.login, ""
	if login.user != "" {
		c := login.current(false)
		if c == nil {
			return wrongSetup(l.port, errNoScheme)
		}
		var err error
		if authorization, err = login.answer(c, r.method, r.target); err != nil {
			return wrongSetup(l.port, err)
		}
	}
	return writeTo(l, func(w *bufio.Writer) {
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
	})
}

// alive reports whether an idle link can be used again: the fleet has neither closed it nor sent
// anything.
func (l *link) alive() bool {
	if l.r.Buffered() > 0 {
		return false
	}
	conn := l.Conn
	if secure, is := conn.(*tls.Conn); is {
		conn = secure.NetConn()
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
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
