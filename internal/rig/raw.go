package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// Raw listens on a port of every address of the namespace until it is stopped or the test ends. It
// hands each connection to serve, with a limit of time, and closes it afterwards.
func Raw(t testing.TB, port int, serve func(net.Conn)) (stop func()) {
	t.Helper()
	_, stop = RawAt(t, net.JoinHostPort("::", strconv.Itoa(port)), serve)
	return stop
}

// RawAt is Raw at an address. It returns the listener's, which has a port instead of 0.
func RawAt(t testing.TB, address string, serve func(net.Conn)) (listens string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	must.OK(t, err)
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			done.Go(func() {
				conn.SetDeadline(time.Now().Add(clientTimeout))
				serve(conn)
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
				conn.Close()
			})
		}
	})
	stop = func() {
		listener.Close()
		mu.Lock()
		for conn := range open {
			conn.SetDeadline(time.Unix(1, 0))
		}
		mu.Unlock()
		done.Wait()
	}
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

// ReadHead reads a message up to its empty line and returns its lines.
func ReadHead(r *bufio.Reader) ([]string, error) {
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return lines, err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return lines, nil
		}
		lines = append(lines, line)
	}
}

// HeaderIn is the value of the first header of that name among a message's lines.
func HeaderIn(lines []string, name string) string {
	for _, line := range lines {
		if key, value, _ := strings.Cut(line, ":"); strings.EqualFold(key, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// At is the same client at another address.
func (c Client) At(address netip.Addr) Client {
	c.Header = ProxyHeader(address)
	return c
}

// Credentials is the header line with which the client sends its next request.
func (c Client) Credentials(method, target string) (line string, err error) {
	if c.Algorithm == "Basic" { // which needs no challenge
		return "Proxy-Authorization: " + Basic(c.User, c.Password), nil
	}
	stranger := c
	stranger.User = ""
	challenge, err := stranger.Request(method, target)
	if err != nil {
		return "", err
	}
	return c.Authorization(challenge.Response, method, target)
}

// Send opens a connection and sends the head of a request with credentials and more header lines.
func (c Client) Send(method, target string, headers ...string) (net.Conn, error) {
	head, err := c.head(method, target)
	if err != nil {
		return nil, err
	}
	conn, err := c.Dial()
	if err == nil {
		_, err = io.WriteString(conn, head+strings.Join(append(headers, "", ""), "\r\n"))
	}
	return conn, err
}

// head is the beginning of a request with credentials: more header lines may follow.
func (c Client) head(method, target string) (string, error) {
	credentials, err := c.Credentials(method, target)
	return method + " " + target + " HTTP/1.1\r\nHost: " + hostOf(method, target) + "\r\n" + credentials + "\r\n", err
}

// Children are the processes that threads of a process have started, zombies included. The pattern
// chooses the threads.
func Children(pid int, threads string) (found []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/%s/children", pid, threads))
	for _, list := range lists {
		content, _ := os.ReadFile(list) // a thread may have ended
		for field := range strings.FieldsSeq(string(content)) {
			if child, err := strconv.Atoi(field); err == nil {
				found = append(found, child)
			}
		}
	}
	return found
}

// Program is the name of a process's program, or nothing if it has ended.
func Program(pid int) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(name))
}

// Buffer keeps what several goroutines write.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Lines are the lines so far.
func (b *Buffer) Lines() []string {
	text := strings.TrimSuffix(b.String(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
