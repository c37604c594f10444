package main

import (
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
	"squidfleet/squid"
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
	port := func(address string, port uint16) netip.AddrPort {
		a, _ := netip.ParseAddr(address) // the zero one is any
		return netip.AddrPortFrom(a, port)
	}
	for _, c := range []struct {
		text      string
		want      conf
		wantError string
	}{
		{"http_port 35201 require-proxy-header\nhttp_port 127.0.0.1:35202 require-proxy-header name=health\n",
			conf{clients: port("", 35201), health: port("127.0.0.1", 35202)}, ""},
		{"#http_port 1\nhttp_port 10.0.0.1:35201 require-proxy-header\n",
			conf{clients: port("10.0.0.1", 35201)}, ""},
		{"http_port 127.0.0.1:1 name=health\nhttp_port [::1]:2 name=healthy",
			conf{clients: port("::1", 2), health: port("127.0.0.1", 1)}, ""},
		{"http_port 0.0.0.0:35201\nacl clients src 10.0.0.0/8\nacl others src 2001:db8::/32\n" +
			"acl clients src 2600::/32\nacl clients src 2601::/32\n",
			conf{clients: port("", 35201), ipv6Clients: netip.MustParsePrefix("2600::/32")}, ""},
		{"http_port 127.0.0.1:1 name=health\n", conf{}, "has no http_port for clients"},
		{"http_port nowhere:1\n", conf{}, "http_port: "},
	} {
		dir := t.TempDir()
		must.OK(t, os.WriteFile(filepath.Join(dir, "squid.conf"), []byte(c.text), 0o600))
		c.want.auth = squid.AuthNone
		got, err := readConf(dir)
		if c.wantError != "" && err != nil && strings.Contains(err.Error(), c.wantError) {
			continue
		}
		if err != nil || c.wantError != "" || got != c.want {
			t.Errorf("%q: %+v, %v; want %+v, %q", c.text, got, err, c.want, c.wantError)
		}
	}
}
