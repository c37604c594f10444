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
	"time"
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

// Besiege opens total connections: idle ones that are challenged, then tunnels until one is
// refused, then connections without a complete request.
func Besiege(c Client, tunnelTo string, idle, total int) (s *Siege, err error) {
	s = &Siege{}
	defer func() {
		if err != nil {
			s.Close()
			err = fmt.Errorf("with %s: %w", s, err)
		}
	}()
	for s.Idle < idle {
		conn, err := s.send(c, "GET http://origin.example/ HTTP/1.1\r\n\r\n")
		if err != nil {
			return s, err
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return s, err
		}
		if response.StatusCode != http.StatusProxyAuthRequired {
			return s, fmt.Errorf("without a password: %s", response.Status)
		}
		s.Idle++
	}
	for s.Idle+s.Tunnels < total {
		conn, _, err := c.Tunnel(tunnelTo)
		if err != nil || conn == nil {
			break
		}
		s.open = append(s.open, conn)
		s.Tunnels++
	}
	for len(s.open) < total {
		sent := HeadersAboutToBeTooLong
		switch len(s.open) % 20 {
		case 19:
			sent = ""
		case 0:
			sent = "GET http://orig"
		}
		if _, err := s.send(c, sent); err != nil {
			return s, err
		}
	}
	return s, nil
}

// send opens a connection and sends the beginning of a request.
func (s *Siege) send(c Client, text string) (net.Conn, error) {
	conn, err := c.Dial()
	if err != nil {
		return nil, err
	}
	s.open = append(s.open, conn)
	_, err = io.WriteString(conn, text)
	return conn, err
}

// Burst opens connections and completes the longest headers on all of them at the same moment.
// Squid is stopped meanwhile. Burst returns an error if Squid neither answers nor closes one of
// them.
func Burst(c Client, squid, connections int) (err error) {
	var s Siege
	defer s.Close()
	for len(s.open) < connections {
		if _, err := s.send(c, HeadersAboutToBeTooLong); err != nil {
			return err
		}
	}
	time.Sleep(time.Second) // Squid reads the last of them
	if err := syscall.Kill(squid, syscall.SIGSTOP); err != nil {
		return err
	}
	for _, conn := range s.open {
		if _, err = io.WriteString(conn, "\r\n\r\n"); err != nil {
			break
		}
	}
	if err := errors.Join(err, syscall.Kill(squid, syscall.SIGCONT)); err != nil {
		return err
	}
	for i, conn := range s.open {
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("connection %d of %d: %w", i, connections, err)
		}
	}
	return nil
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
