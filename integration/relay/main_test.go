// Package relay tests the relay in front of real fleets on this machine, and its image. It needs
// root, for namespaces of its own and for podman.
package relay

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/internal/must"
	"squidfleet/internal/relay"
	"squidfleet/internal/rig"
	"squidfleet/params"
	"squidfleet/squid"
)

func TestMain(m *testing.M) {
	rig.Isolate()
	os.Exit(m.Run())
}

// fleet is a fleet on this machine.
type fleet struct {
	*local.Fleet
	options local.Options
}

// startFleet starts a fleet whose ports begin at port. What values have is instead of the defaults.
func startFleet(t testing.TB, addresses, port int, origin netip.AddrPort, values map[string]any) *fleet {
	t.Helper()
	all := map[string]any{"users": "alice"}
	maps.Copy(all, values)
	// All fleets' tasks have the same port, so that no two have the same address.
	p, err := params.Parse(all)
	must.OK(t, err)
	f := &fleet{options: local.Options{
		Params: p, Passwords: []squid.Credential{{User: "alice", Password: rand.Text()}}, Addresses: addresses,
		Zones: 2, Port: port, Timing: local.AWS(p).Faster(60), Origin: origin, TLS: p.Auth.Basic(),
	}}
	f.start(t)
	return f
}

// start starts the fleet, until the test ends if it is not closed before.
func (f *fleet) start(t testing.TB) {
	t.Helper()
	started, err := local.Start(context.Background(), f.options)
	must.OK(t, err)
	t.Cleanup(func() { must.OK(t, started.Close()) })
	f.Fleet = started
}

// named is the fleet as the relay knows it.
func (f *fleet) named(name string) relay.Fleet {
	here := relay.Fleet{Name: name, Scheme: "http", Host: "127.0.0.1", Port: f.options.Port, User: "alice",
		Password: f.options.Passwords[0].Password}
	for number := 1; number <= f.options.Addresses; number++ {
		here.Addresses = append(here.Addresses, relay.Address{Number: number, Port: f.options.Port + number})
	}
	return here
}

// startRelay runs a relay until the test ends, and returns where it listens.
func startRelay(t testing.TB, o relay.Options, fleets ...relay.Fleet) (address string) {
	t.Helper()
	return listen(t, "127.0.0.1:0", o, fleets...)
}

func listen(t testing.TB, at string, o relay.Options, fleets ...relay.Fleet) (address string) {
	t.Helper()
	o.MaxConnections = 2000
	s, err := relay.Listen(at, o, fleets)
	must.OK(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		must.OK(t, <-done)
	})
	return s.Addr().String()
}

// origin answers http and https at one port with the address that asked.
type origin struct {
	address netip.AddrPort
	roots   *x509.CertPool
}

func startOrigin(t testing.TB) *origin {
	t.Helper()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.StartTLS() // for its certificate
	secure.Close()
	l, err := net.Listen("tcp", "127.77.0.80:8080")
	must.OK(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, netip.MustParseAddrPort(r.RemoteAddr).Addr().String())
	})}
	t.Cleanup(func() { server.Close() })
	go server.Serve(&either{l, secure.TLS})
	o := &origin{netip.MustParseAddrPort(l.Addr().String()), x509.NewCertPool()}
	o.roots.AddCert(secure.Certificate())
	return o
}

// either serves TLS to those who begin with it.
type either struct {
	net.Listener
	config *tls.Config
}

func (l *either) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &eitherConn{Conn: c, config: l.config}, nil
}

// eitherConn decides with its first byte, when its own goroutine reads.
type eitherConn struct {
	net.Conn
	config *tls.Config
	begun  bool
}

func (c *eitherConn) Read(p []byte) (int, error) {
	if !c.begun {
		c.begun = true
		again := peeked{c.Conn, bufio.NewReader(c.Conn)}
		first, err := again.r.Peek(1)
		if err != nil {
			return 0, err
		}
		if c.Conn = again; first[0] == 0x16 {
			c.Conn = tls.Server(again, c.config)
		}
	}
	return c.Conn.Read(p)
}

// peeked is a connection with a part that its reader has.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (c peeked) Read(p []byte) (int, error) { return c.r.Read(p) }

func proxyURL(at, session string) *url.URL {
	u := &url.URL{Scheme: "http", Host: at}
	if session != "" {
		u.User = url.UserPassword(session, "")
	}
	return u
}

// client is an HTTP client of a relay, without a session if its name is empty.
func client(at, session string, o *origin) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		Proxy:           http.ProxyURL(proxyURL(at, session)),
		TLSClientConfig: &tls.Config{RootCAs: o.roots, ServerName: "example.com"},
	}}
}

// egress asks for the address from which a request leaves.
func egress(c *http.Client, url string) (string, error) {
	response, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && !strings.HasPrefix(string(text), "127.77.") {
		err = fmt.Errorf("%s: %q", response.Status, text)
	}
	return string(text), err
}
