package image

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/bench"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

const inMemory = "memory"

// memoryContexts are the parameters of BenchmarkMemory's task: many addresses may connect.
func memoryContexts() map[string]map[string]any {
	return map[string]map[string]any{inMemory: {"clientCidrs": "198.18.0.0/15", "users": "alice,bob"}}
}

const memoryPage = "http://151.101.1.69/"

// opener opens a connection, and keeps it open if it returns one.
type opener func(rig.Client) (net.Conn, error)

func sent(text string) opener {
	return func(c rig.Client) (net.Conn, error) {
		conn, err := c.Dial()
		if err == nil {
			_, err = io.WriteString(conn, text)
		}
		return conn, err
	}
}

func answered(text string) opener {
	return func(c rig.Client) (net.Conn, error) {
		conn, err := sent(text)(c)
		if err == nil {
			_, err = http.ReadResponse(bufio.NewReader(conn), nil)
		}
		return conn, err
	}
}

func unread(c rig.Client) (net.Conn, error) { return c.Send("GET", memoryPage) }

func tunnelled(c rig.Client) (net.Conn, error) {
	conn, response, err := c.Tunnel("151.101.1.69:443")
	if err == nil && conn == nil {
		err = errors.New(response.Status)
	}
	return conn, err
}

func gone(c rig.Client) (net.Conn, error) {
	conn, err := answered("GET " + memoryPage + " HTTP/1.1\r\n\r\n")(c)
	if err != nil {
		return nil, err
	}
	return nil, conn.Close()
}

// BenchmarkMemory measures what each of many connections takes of Squid's memory, and what one
// address can take of a task's. It writes a section of the document about security.
func BenchmarkMemory(b *testing.B) {
	var siege string
	b.Run("siege", func(b *testing.B) { siege = besiege(b) })
	rig.StartOrigins(b, []int{80, 443}, nil).SetHandler(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, zeros{}) }))
	var rows strings.Builder
	var version string
	for _, kind := range []struct {
		what            string
		many, addresses int
		open            opener
	}{
		{"a connection that sends nothing", 2000, 1, sent("")},
		{"one with headers about to be too long", 2000, 1, sent(rig.HeadersAboutToBeTooLong)},
		{"the same, when such headers are complete on all at the same moment", 2000, 1, nil},
		{"one that is idle after headers of 17 KB in lines of three bytes, and a 407", 100, 1,
			answered("GET " + memoryPage + " HTTP/1.1\r\n" + strings.Repeat("x:\n", 5_700) + "\r\n")},
		{"one with the body of a request that got a 407", 1000, 1,
			answered("POST " + memoryPage + " HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" +
				strings.Repeat("x", 64<<10))},
		{"an idle tunnel", 1000, 10, tunnelled},
		{"a download that its client does not read", 400, 4, unread},
		{"an address that has connected, after its connection", 20_000, 20_000, gone},
	} {
		b.Run(kind.what, func(b *testing.B) {
			p := start(b, inMemory)
			version = p.squidVersion()
			client := func(i int) rig.Client {
				n, c := i%kind.addresses, p.client()
				c.Header = rig.ProxyHeader(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}))
				return c
			}
			for range 100 { // what Squid needs once
				_, err := gone(client(0))
				must.OK(b, err)
			}
			before := p.newPeak()
			if kind.open == nil {
				rig.Burst(b, client(0), p.squidPid(), kind.many)
			}
			for i := 0; i < kind.many && kind.open != nil; i++ {
				conn, err := kind.open(client(i))
				if err != nil {
					b.Fatalf("after %d: %v", i, err)
				}
				if conn != nil {
					b.Cleanup(func() { conn.Close() })
				}
			}
			time.Sleep(time.Second) // Squid reads the last of them
			each, digits := (p.peak()-before)/float64(kind.many), 0
			if each < 10 {
				digits = 1
			}
			fmt.Fprintf(&rows, "| %s | %d | %.*f |\n", kind.what, kind.many, digits, each)
		})
	}
	if b.Failed() {
		return
	}
	text := fmt.Sprintf(""+
		"`make bench` (BenchmarkMemory), a task of 512 MiB with Squid %s:\n\n"+
		"| each of | so many at a time | takes of Squid's memory, kB |\n|---|---|---|\n%s\n%s", version, &rows, siege)
	b.Logf("\n%s", text)
	must.OK(b, bench.ReportIn(root, "security.md", "memory", text))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// newPeak forgets what Squid's memory was before, and returns what it is, in kB.
func (p *proxy) newPeak() float64 {
	p.t.Helper()
	must.OK(p.t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.squidPid()), []byte("5"), 0))
	return p.peak()
}

// peak is the most that Squid's memory has been, in kB.
func (p *proxy) peak() float64 {
	p.t.Helper()
	return number(p.t, fmt.Sprintf("/proc/%d/status", p.squidPid()), `VmHWM:\s+(\d+) kB`) * 1024 / 1000
}
