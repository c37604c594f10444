package nlb

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// newTLSRig is a rig with a TLS listener. dial returns a client's end of a connection to it.
func newTLSRig(t *testing.T, change func(*Config)) (r *rig, dial func() (*tls.Conn, error)) {
	t.Helper()
	server := httptest.NewTLSServer(nil) // for its certificate
	server.Close()
	c := quick()
	c.TLS = &tls.Config{Certificates: server.TLS.Certificates}
	if change != nil {
		change(&c)
	}
	r = newRig(t, c)
	client := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	client.ServerName = "example.com"
	return r, func() (*tls.Conn, error) {
		conn, err := tls.Dial("tcp", r.addr, client)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			conn.SetDeadline(time.Now().Add(patience))
		}
		return conn, err
	}
}

// The target gets a PROXY header and then what the client said, in both ways whole, and each way
// ends by itself.
func TestATLSListenerDecrypts(t *testing.T) {
	t.Parallel()
	r, dial := newTLSRig(t, nil)
	k := newBackend(t, "a")
	r.add(k)
	c, err := dial()
	must.OK(t, err)
	sent := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{}).Read(sent)
	go func() {
		c.Write(sent)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, append([]byte("a\n"), sent...)) {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(sent), err)
	}
	if from := addrPort(k.lastClient().header.SourceAddr); from != addrPort(c.LocalAddr()) {
		t.Errorf("the client is presented as %v, want %v", from, c.LocalAddr())
	}
}

// What is no TLS, or does not come, never reaches a target.
func TestATLSListenerTakesNothingElse(t *testing.T) {
	t.Parallel()
	r, _ := newTLSRig(t, nil)
	k := newBackend(t, "a")
	r.add(k)
	c, err := net.Dial("tcp", r.addr)
	must.OK(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
	io.ReadAll(c) // until it is closed
	r.await("the end of the connection", func(all []TargetHealth) bool { return all[0].Open == 0 })
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.clients) > 0 {
		t.Errorf("the target saw %d connections", len(k.clients))
	}
}

func TestResetsPassATLSListenerBothWays(t *testing.T) {
	t.Parallel()
	r, dial := newTLSRig(t, nil)
	k := newBackend(t, "a")
	ended := make(chan error, 1)
	resets := false
	k.serve = func(c *net.TCPConn, in *bufio.Reader) {
		c.Write([]byte("a\n"))
		if resets {
			io.ReadFull(in, make([]byte, 1))
			resetTCP(c)
			return
		}
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}
	r.add(k)
	open := func() *tls.Conn {
		t.Helper()
		c, err := dial()
		must.OK(t, err)
		_, err = io.ReadFull(c, make([]byte, 2))
		must.OK(t, err)
		return c
	}
	for what, end := range map[string]func(*tls.Conn){
		"reset":                 func(c *tls.Conn) { resetTCP(c.NetConn().(*net.TCPConn)) },
		"sent what is no TLS":   func(c *tls.Conn) { c.NetConn().Write([]byte("plain text, and no record at all")) },
		"continued after a lie": func(c *tls.Conn) { c.NetConn().Write([]byte{23, 3, 3, 0, 1, 0}) },
	} {
		end(open())
		if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client %s: the target got %v, want a reset", what, err)
		}
	}
	resets = true
	c := open()
	c.Write([]byte{1})
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the target's reset: the client got %v", err)
	}
}

func TestAnIdleTLSConnectionIsReset(t *testing.T) {
	t.Parallel()
	r, dial := newTLSRig(t, func(c *Config) { c.IdleTimeout = 200 * time.Millisecond })
	r.add(newBackend(t, "a"))
	c, err := dial()
	must.OK(t, err)
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}
