package nlb

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a client's connection and the target's that belongs to it.
type conn struct {
	target *target
	client *net.TCPConn
	from   netip.AddrPort // the client as the header presents it
	node   netip.AddrPort

	ctx    context.Context // ends when the connection is reset or over
	cancel context.CancelFunc
	broken atomic.Bool    // one side is gone without a proper end
	shut   [2]atomic.Bool // an end of data was sent to the client, to the target

	mu       sync.Mutex // taken behind Balancer.mu, never before it
	over     bool       // both sides are closed; a target's connection that comes late is reset
	upstream *net.TCPConn
}

// admit chooses the node and the target of an accepted connection, or resets it and returns nil.
func (b *Balancer) admit(client *net.TCPConn) *conn {
	port, from := addrPort(client.LocalAddr()).Port(), addrPort(client.RemoteAddr())
	if b.config.ClientAddr != nil {
		from = b.config.ClientAddr(client)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	node, t := b.choose(from, b.number)
	b.number++
	if b.ctx.Err() != nil || t == nil {
		resetTCP(client)
		return nil
	}
	c := &conn{target: t, client: client, from: from, node: netip.AddrPortFrom(node, port)}
	c.ctx, c.cancel = context.WithCancel(b.ctx)
	b.conns[c] = struct{}{}
	t.conns[c] = struct{}{}
	return c
}

// handle carries a connection from dialling its target to its end.
func (b *Balancer) handle(c *conn) {
	defer b.release(c)
	// A flow through AWS's load balancer sees the two ends' keepalives, never its own.
	_ = c.client.SetKeepAlive(false)
	client := side{c.client, c.client}
	if b.config.TLS != nil {
		secure := &secure{Conn: tls.Server(c.client, b.config.TLS)}
		ctx, cancel := context.WithTimeout(c.ctx, handshakeTimeout)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			c.close() // What TLS says about it arrives.
			return
		}
		client.stream = secure
	}
	if err := b.connect(c); err != nil {
		c.reset()
		return
	}
	c.relay(client, side{c.upstream, c.upstream})
}

// handshakeTimeout is how long a client may take for TLS. AWS documents none.
const handshakeTimeout = 10 * time.Second

// side is one end of a connection: what is copied, and the socket below.
type side struct {
	stream
	socket *net.TCPConn
}

type stream interface {
	io.ReadWriter
	CloseWrite() error
}

// secure is a client's end of TLS. It notes that reading failed: the socket does not show it.
type secure struct {
	*tls.Conn
	failed bool
}

func (s *secure) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.failed = err != nil && err != io.EOF
	return n, err
}

// gone reports whether a side of a failed copy is the one that failed.
func (s side) gone() bool {
	if secure, ok := s.stream.(*secure); ok {
		return secure.failed
	}
	return gone(s.socket)
}

func (b *Balancer) connect(c *conn) error {
	ctx, cancel := context.WithTimeout(c.ctx, b.config.ConnectTimeout)
	defer cancel()
	upstream, err := dial(ctx, c.node.Addr(), c.target.Addr)
	if err == nil {
		// The socket is new and its buffer empty: this cannot block on the target.
		if _, err = upstream.Write(proxyHeader(c.from, c.node)); err != nil {
			resetTCP(upstream)
		}
	}
	if err != nil {
		if c.ctx.Err() == nil { // else it was reset meanwhile
			b.mu.Lock()
			c.target.failures++
			b.mu.Unlock()
		}
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		resetTCP(upstream)
		return context.Canceled
	}
	c.upstream = upstream
	return nil
}

// dial connects from a node to a target.
func dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (*net.TCPConn, error) {
	d := net.Dialer{KeepAlive: -1, Control: lateBind, LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	connection, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return connection.(*net.TCPConn), nil
}

// The directions of a connection, as indices of conn.shut.
const (
	toClient = iota
	toTarget
)

// relay copies both ways until both ways have ended.
func (c *conn) relay(client, target side) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.pipe(toTarget, target, client)
	}()
	c.pipe(toClient, client, target)
	<-done
	if c.broken.Load() {
		c.reset()
		return
	}
	c.close()
}

// pipe copies one way and passes on how it ended: an end of data as the same, so that the other way
// goes on; a reset as a reset. Without TLS it copies between the bare sockets, so the bytes move by
// splice(2).
func (c *conn) pipe(direction int, to, from side) {
	_, err := io.Copy(to.stream, from.stream)
	if err == nil && !(aborted(from.socket) && !c.shut[1-direction].Load()) {
		c.shut[direction].Store(true)
		// It fails only when the other side is gone, and then so does the other way.
		_ = to.CloseWrite()
		return
	}
	// A reset is reported once, perhaps to the other way's write, and this way then reads an end of
	// data that nobody sent: hence the question above.
	c.broken.Store(true)
	if from.gone() {
		c.reset()
	}
	// Otherwise the receiver is gone. What it sent before (an error page, say) must arrive first: the
	// other way delivers it and then comes here too. If it has ended already, relay resets.
}

// close ends both sides in good order, reset with RST, if they have not ended before.
func (c *conn) close() { c.end(func(t *net.TCPConn) { t.Close() }) }
func (c *conn) reset() { c.end(resetTCP) }

func (c *conn) end(how func(*net.TCPConn)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	c.cancel()
	how(c.client)
	if c.upstream != nil {
		how(c.upstream)
	}
}

// resetTCP closes a connection with RST: a linger of zero. An error means that it is closed.
func resetTCP(t *net.TCPConn) {
	_ = t.SetLinger(0)
	_ = t.Close()
}

// release forgets a connection that is over.
func (b *Balancer) release(c *conn) {
	c.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	delete(c.target.conns, c)
	b.retire(c.target)
}

// sweepRepeatedly resets idle connections.
func (b *Balancer) sweepRepeatedly() {
	every := min(max(b.config.IdleTimeout/10, time.Millisecond), 10*time.Second)
	for sleep(b.ctx, every) {
		b.mu.Lock()
		for c := range b.conns {
			if c.idle() >= b.config.IdleTimeout {
				c.reset()
			}
		}
		b.mu.Unlock()
	}
}

// idle returns how long no data has moved; 0 while the target is being dialled.
func (c *conn) idle() time.Duration {
	c.mu.Lock()
	upstream := c.upstream
	c.mu.Unlock()
	if upstream == nil {
		return 0
	}
	return idle(c.client, upstream)
}

func addrPort(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
