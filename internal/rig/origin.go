package rig

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// Origins answers on a set of ports for every address of the namespace. It counts connections by
// destination address and keeps the head of the last request.
type Origins struct {
	ports []int

	mu          sync.Mutex
	handler     http.Handler
	connections map[netip.AddrPort]int // since Forget
	ever        map[netip.AddrPort]int
	head        []byte
}

// StartOrigins listens on the ports, without or with TLS, until the test ends.
func StartOrigins(t testing.TB, plain, overTLS []int) *Origins {
	t.Helper()
	o := &Origins{connections: map[netip.AddrPort]int{}, ever: map[netip.AddrPort]int{}}
	certificate := makeCertificate(t)
	server := &http.Server{
		Handler:   http.HandlerFunc(o.answer),
		ConnState: o.record,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, recordedConn{}, c)
		},
		ReadHeaderTimeout: time.Minute,
		// HTTP/1.1 only: its bytes can be compared.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		// Many clients leave before the TLS handshake.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	var done sync.WaitGroup
	serve := func(port int, secure bool) {
		o.ports = append(o.ports, port)
		listener, err := net.Listen("tcp", net.JoinHostPort("::", strconv.Itoa(port)))
		must.OK(t, err)
		listener = recordingListener{listener}
		if secure {
			listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
		}
		done.Go(func() { server.Serve(listener) })
	}
	for _, port := range plain {
		serve(port, false)
	}
	for _, port := range overTLS {
		serve(port, true)
	}
	t.Cleanup(func() {
		server.Close()
		done.Wait()
	})
	return o
}

// makeCertificate makes a certificate for example.com. Its key is of the kind that costs a
// handshake least, so that a benchmark measures the proxy.
func makeCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.OK(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must.OK(t, err)
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}
}

func (o *Origins) answer(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	handler := o.handler
	if c, ok := r.Context().Value(recordedConn{}).(*recordingConn); ok {
		o.head = c.head()
	}
	o.mu.Unlock()
	if handler != nil {
		handler.ServeHTTP(w, r)
		return
	}
	o.Hello(w, r)
}

// Hello answers "hello from ADDRESS" with the destination address of the connection.
func (o *Origins) Hello(w http.ResponseWriter, r *http.Request) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, "hello from "+addressOf(local).Addr().String()+"\n")
}

// SetHandler makes a handler answer all requests; nil means Hello.
func (o *Origins) SetHandler(h http.Handler) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handler = h
}

// Reached counts the connections since the last call of Forget, by destination.
func (o *Origins) Reached() map[netip.AddrPort]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.connections)
}

// EverReached counts all connections since the start, by destination. None is missing: earlier ones
// are accepted before those that it makes itself.
func (o *Origins) EverReached(t testing.TB) map[netip.AddrPort]int {
	t.Helper()
	for _, port := range o.ports {
		last := netip.AddrPortFrom(lastOfAll, uint16(port))
		before := o.count(last)
		conn, err := net.Dial("tcp", last.String())
		must.OK(t, err)
		defer conn.Close()
		must.Await(t, "a connection to "+last.String(), func() bool { return o.count(last) > before })
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	out := maps.Clone(o.ever)
	for to := range out {
		if to.Addr() == lastOfAll {
			delete(out, to)
		}
	}
	return out
}

// lastOfAll is an address that no test uses.
var lastOfAll = netip.AddrFrom4([4]byte{127, 255, 0, 1})

func (o *Origins) count(to netip.AddrPort) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ever[to]
}

// AwaitConnection waits up to 1 s until a connection is counted: the kernel completes it before.
func (o *Origins) AwaitConnection() {
	must.Within(time.Second, func() bool { return len(o.Reached()) > 0 })
}

// Forget sets the counts of Reached to zero.
func (o *Origins) Forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.connections)
}

// LastHead returns the request line and headers of the last request as they were received.
func (o *Origins) LastHead() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.head)
}

// record counts a new connection.
func (o *Origins) record(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.connections[addressOf(c.LocalAddr())]++
		o.ever[addressOf(c.LocalAddr())]++
	}
}

// recordingListener has connections that keep what they read.
type recordingListener struct{ net.Listener }

func (l recordingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &recordingConn{Conn: c}, err
}

// addressOf is an address without the IPv4-mapped form of listeners for both families.
func addressOf(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

type recordedConn struct{}

// recordingConn keeps the bytes since the last complete request head.
type recordingConn struct {
	net.Conn
	mu   sync.Mutex
	read []byte
}

const maxRecorded = 1 << 20

func (c *recordingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	if len(c.read)+n <= maxRecorded {
		c.read = append(c.read, p[:n]...)
	}
	c.mu.Unlock()
	return n, err
}

func (c *recordingConn) head() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	head, _, _ := bytes.Cut(c.read, []byte("\r\n\r\n"))
	c.read = nil
	return append([]byte(nil), head...)
}
