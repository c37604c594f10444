package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
)

func TestOpenConnectionsOfThisMachine(t *testing.T) {
	for listens, dials := range map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", "[::]:0": "127.0.0.1"} {
		listener, err := net.Listen("tcp", listens)
		must.OK(t, err)
		defer listener.Close()
		port := netip.MustParseAddrPort(listener.Addr().String()).Port()
		local := netip.AddrPortFrom(netip.MustParseAddr(dials), port)
		count := func(to netip.AddrPort) int {
			n, err := openConnections(to)
			must.OK(t, err)
			return n
		}
		if n := count(local); n != 0 {
			t.Errorf("%s: %d before anybody came", listens, n)
		}
		conn, err := net.Dial("tcp", local.String())
		must.OK(t, err)
		accepted, err := listener.Accept()
		must.OK(t, err)
		for to, want := range map[netip.AddrPort]int{
			local:                                  1,
			netip.AddrPortFrom(netip.Addr{}, port): 1, // any address
			netip.MustParseAddrPort("127.9.9.9:" + strconv.Itoa(int(port))): 0,
			netip.AddrPortFrom(local.Addr(), port^1):                        0,
		} {
			if n := count(to); n != want {
				t.Errorf("%s: %d at %v, want %d", listens, n, to, want)
			}
		}
		// Squid's end is closed and its last bytes are under way until the client has read them: the
		// client's window is full.
		accepted.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		accepted.Write(make([]byte, 32<<20))
		accepted.Close()
		if n := count(local); n != 1 {
			t.Errorf("%s: %d while something is still to be sent, want 1", listens, n)
		}
		io.Copy(io.Discard, conn)
		conn.Close()
		// What is over does not count, although the kernel remembers it for a minute.
		must.Await(t, "the end of the connection", func() bool { return count(local) == 0 })
	}
}

func TestReadConf(t *testing.T) {
	for _, c := range []struct {
		conf, clients, health string // an empty address is none
		wantError             string
	}{
		{"http_port 35201 require-proxy-header\nhttp_port 127.0.0.1:35202 require-proxy-header name=health\n",
			"*:35201", "127.0.0.1:35202", ""},
		{"#http_port 1\nhttp_port 10.0.0.1:35201 require-proxy-header\n", "10.0.0.1:35201", "*:0", ""},
		{"http_port 127.0.0.1:1 name=health\nhttp_port [::1]:2 name=healthy", "[::1]:2", "127.0.0.1:1", ""},
		{"http_port 0.0.0.0:35201\n", "*:35201", "*:0", ""},
		{"http_port 127.0.0.1:1 name=health\n", "", "", "has no http_port for clients"},
		{"http_port nowhere:1\n", "", "", "http_port: "},
	} {
		dir := t.TempDir()
		must.OK(t, os.WriteFile(filepath.Join(dir, "squid.conf"), []byte(c.conf), 0o600))
		got, err := readConf(dir)
		if c.wantError != "" {
			if err == nil || !strings.Contains(err.Error(), c.wantError) {
				t.Errorf("%q: error %v, want %q", c.conf, err, c.wantError)
			}
			continue
		}
		show := func(a netip.AddrPort) string {
			return strings.Replace(a.String(), "invalid AddrPort", fmt.Sprintf("*:%d", a.Port()), 1)
		}
		if clients, health := show(got.clients), show(got.health); err != nil || clients != c.clients ||
			health != c.health {
			t.Errorf("%q: %s, %s, %v; want %s, %s", c.conf, clients, health, err, c.clients, c.health)
		}
	}
}
