package rig

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// Siege is the connections that one client address holds open at a time.
type Siege struct {
	// Idle counts connections that sent nothing after a challenge, Tunnels those with a tunnel
	// that is idle. Both count as requests, which the address's share bounds.
	Idle, Tunnels int

	open []net.Conn
}

// HeadersAboutToBeTooLong is an incomplete request, a little shorter than Squid allows.
var HeadersAboutToBeTooLong = "GET http://origin.example/ HTTP/1.1\r\nCookie: " + strings.Repeat("y", 17_000)

// Besiege opens total connections until the test ends: idle ones that are challenged, then tunnels
// until one is refused, then connections without a complete request.
func Besiege(t testing.TB, c Client, tunnelTo string, idle, total int) *Siege {
	t.Helper()
	s := &Siege{}
	t.Cleanup(s.Close)
	for ; s.Idle < idle; s.Idle++ {
		conn := s.send(t, c, "GET http://origin.example/ HTTP/1.1\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode != http.StatusProxyAuthRequired {
			t.Fatalf("without a password, with %s: %+v, %v", s, response, err)
		}
	}
	for ; s.Idle+s.Tunnels < total; s.Tunnels++ {
		conn, _, err := c.Tunnel(tunnelTo)
		if err != nil || conn == nil {
			break
		}
		s.open = append(s.open, conn)
	}
	for len(s.open) < total {
		sent := HeadersAboutToBeTooLong
		switch len(s.open) % 20 {
		case 19:
			sent = ""
		case 0:
			sent = "GET http://orig"
		}
		s.send(t, c, sent)
	}
	return s
}

func (s *Siege) send(t testing.TB, c Client, text string) net.Conn {
	t.Helper()
	conn, err := c.Dial()
	if err == nil {
		s.open = append(s.open, conn)
		_, err = io.WriteString(conn, text)
	}
	if err != nil {
		t.Fatalf("with %s: %v", s, err)
	}
	return conn
}

// Burst opens connections and completes the longest headers on all of them at the same moment,
// while Squid is stopped. Squid has to answer or close each of them.
func Burst(t testing.TB, c Client, squid, connections int) {
	t.Helper()
	var s Siege
	defer s.Close()
	for len(s.open) < connections {
		s.send(t, c, HeadersAboutToBeTooLong)
	}
	time.Sleep(time.Second) // Squid reads the last of them
	err := syscall.Kill(squid, syscall.SIGSTOP)
	for _, conn := range s.open {
		_, sent := io.WriteString(conn, "\r\n\r\n")
		err = errors.Join(err, sent)
	}
	must.OK(t, errors.Join(err, syscall.Kill(squid, syscall.SIGCONT)))
	for i, conn := range s.open {
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d of %d: %v", i, connections, err)
		}
	}
}

// Close ends all connections.
func (s *Siege) Close() {
	for _, conn := range s.open {
		conn.Close()
	}
}

func (s *Siege) String() string {
	return fmt.Sprintf("%d idle after a 407, %d tunnels, %d with no complete request",
		s.Idle, s.Tunnels, len(s.open)-s.Idle-s.Tunnels)
}

// HostileSecret is in each of the Hostile requests and must not get into a log.
const HostileSecret = "s3cr3t"

// Hostile are requests that make Squid write a message, or whose URL Squid does not parse.
var Hostile = []string{
	// A byte that headers must not have, and a forged line of the access log.
	get("http://origin.example/", "origin.example", "Proxy-Authorization: "+HostileSecret,
		"\n{\"egress\":\"203.0.113.9\",\"time\":\"x\",\"method\":\"GET\",\"user\":\""+HostileSecret+"\"}", "X: \x00"),
	get("http://origin.example/", "origin.example", "Cookie: "+HostileSecret, "X: a\r\r", "Y: b"),
	get("http://origin.example/", "origin.example", HostileSecret+" : x"),
	get("http:///?"+HostileSecret, "x"),
	get("http://:80/?"+HostileSecret, "x"),
	get("ftp://user:"+HostileSecret+"@origin.example/", "origin.example"),
	get("foo://user:"+HostileSecret+"@origin.example/", "origin.example"),
	get("http://user:"+HostileSecret+"@origin.example/", "origin.example"),
	get("http://user:"+HostileSecret+"@a..b/", "a..b"),
	get("http:///user:"+HostileSecret+"@origin.example/", "x"),
	get("http:\\\\user:"+HostileSecret+"@origin.example/", "x"),
	get("urn:x?"+HostileSecret, "x"),
	get("http://origin.example/#"+HostileSecret, "origin.example"),
	get("/?"+HostileSecret, "origin.example"),
	get("http://origin.example/?"+HostileSecret, "other.example", "Host: third.example"),
	get("http://origin.example/?"+HostileSecret, "origin.example", "Content-Length: 1", "Content-Length: 2") + "x",
	get("http://origin.example/?"+HostileSecret, "origin.example", "Transfer-Encoding: "+HostileSecret),
	request("BREW", "http://origin.example/?"+HostileSecret, "origin.example"),
	request("CONNECT", "origin.example:443?"+HostileSecret, "origin.example"),
	request("CONNECT", "user:"+HostileSecret+"@origin.example:443", "origin.example"),
	request("CONNECT", "origin.example:443/#"+HostileSecret, "origin.example"),
}

func get(target, host string, lines ...string) string { return request("GET", target, host, lines...) }

func request(method, target, host string, lines ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(lines, "", ""), "\r\n")
}

// SendHostile sends each of the Hostile requests over a new connection.
func (c Client) SendHostile() error {
	for _, request := range Hostile {
		conn, err := c.Dial()
		if err != nil {
			return err
		}
		io.WriteString(conn, request)
		conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	return nil
}
