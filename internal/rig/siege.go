package rig

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
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

// Besiege opens total connections until the test ends: idle ones that are challenged, then tunnels
// until one is refused, then connections without a complete request.
func Besiege(t testing.TB, c Client, tunnelTo string, idle, total int) *Siege {
	t.Helper()
	s := &Siege{}
	t.Cleanup(s.Close)
	for ; s.Idle < idle; s.Idle++ {
		response, err := Read(s.send(t, c, "GET http://origin.example/ HTTP/1.1\r\n\r\n"), "GET")
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
	conn, err := c.Write(text)
	if err != nil {
		t.Fatalf("with %s: %v", s, err)
	}
	s.open = append(s.open, conn)
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
