package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Lines as the kernel writes them; port 35201 is 8981.
const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestCountIn(t *testing.T) {
	line := func(local, state string) string {
		return "   0: " + local + " 0100007F:C3" + state + " " + state + " 00000000:00000000 00:00000000 00000000 10001        0 12345 1 0000000000000000 20 4 30 10 -1\n"
	}
	v4, v6, mapped := "0201000A:8981", "B80D0120000000000000000001000000:8981", "0000000000000000FFFF00000201000A:8981"
	for _, c := range []struct {
		name  string
		table string
		to    string // "" is every address
		want  int
	}{
		{"nothing", heading, "", 0},
		{"established", heading + line(v4, "01"), "", 1},
		{"something may still be sent", heading + line(v4, "04") + line(v4, "08") + line(v4, "09") + line(v4, "0B"), "", 4},
		{"named twice", heading + line(v4, "01") + line(v4, "01"), "", 1},
		{"over, or not begun", heading + line(v4, "0A") + line(v4, "02") + line(v4, "03") + line(v4, "05") + line(v4, "06") + line(v4, "07") + line(v4, "0C"), "", 0},
		{"the proxy's own connections", heading + line("0201000A:C350", "01"), "", 0},
		{"IPv6", heading + line(v6, "01") + line(mapped, "01"), "", 2},
		{"an address", heading + line(v4, "01") + line(mapped, "01") + line("0301000A:8981", "01") + line(v6, "01"), "10.0.1.2", 2},
		{"an IPv6 address", heading + line(v4, "01") + line(v6, "01"), "2001:db8::1", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var address netip.Addr
			if c.to != "" {
				address = netip.MustParseAddr(c.to)
			}
			got, err := countIn([]byte(c.table), netip.AddrPortFrom(address, 35201), tcpEstablished, tcpFinWait1, tcpCloseWait, tcpLastAck, tcpClosing)
			if err != nil || got != c.want {
				t.Errorf("%d, %v; want %d", got, err, c.want)
			}
		})
	}
	for _, bad := range []string{"garbage\n", line("0201000A", "01"), line("0201000A:xx", "01"), line(v4, "zz"), line("02:8981", "01"), line(strings.Repeat("0", 64)+":8981", "01")} {
		if _, err := countIn([]byte(heading+bad), netip.AddrPortFrom(netip.Addr{}, 35201), tcpEstablished); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestOpenConnectionsOfThisMachine(t *testing.T) {
	for name, way := range map[string]func(netip.AddrPort) (int, error){"asked": askOpenConnections, "read": readOpenConnections} {
		for listens, dials := range map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", "[::]:0": "127.0.0.1"} {
			listener, err := net.Listen("tcp", listens)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			local := netip.AddrPortFrom(netip.MustParseAddr(dials), netip.MustParseAddrPort(listener.Addr().String()).Port())
			count := func(to netip.AddrPort) int {
				t.Helper()
				n, err := way(to)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				return n
			}
			if n := count(local); n != 0 {
				t.Errorf("%s, %s: %d before anybody came", name, listens, n)
			}
			conn, err := net.Dial("tcp", local.String())
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			anyAddress := netip.AddrPortFrom(netip.Addr{}, local.Port())
			elsewhere := netip.AddrPortFrom(netip.MustParseAddr("127.9.9.9"), local.Port())
			otherPort := netip.AddrPortFrom(local.Addr(), local.Port()^1)
			if n, all, other, port := count(local), count(anyAddress), count(elsewhere), count(otherPort); n != 1 || all != 1 || other != 0 || port != 0 {
				t.Errorf("%s, %s: %d, at any address %d, elsewhere %d, at another port %d; want 1, 1, 0, 0", name, listens, n, all, other, port)
			}
			// The client's end is closed first, and remembers that for a minute: what is over does not count.
			conn.Close()
			accepted.Close()
			waitFor(t, "the end of the connection", func() bool { return count(local) == 0 })
		}
	}
}

func TestListening(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	local := netip.MustParseAddrPort(listener.Addr().String())
	if there, err := listening(local); err != nil || !there {
		t.Errorf("listening %t, %v", there, err)
	}
	listener.Close()
	if there, err := listening(local); err != nil || there {
		t.Errorf("closed: listening %t, %v", there, err)
	}
}

func TestFirstAnswer(t *testing.T) {
	fails := func(netip.AddrPort) (int, error) { return 0, errors.New("not here") }
	three := func(netip.AddrPort) (int, error) { return 3, nil }
	if n, err := firstAnswer(netip.AddrPort{}, fails, three); n != 3 || err != nil {
		t.Errorf("%d, %v; want the second way's 3", n, err)
	}
	if _, err := firstAnswer(netip.AddrPort{}, fails); err == nil {
		t.Error("no way works, and there is no error")
	}
}

func TestReadListeners(t *testing.T) {
	for _, c := range []struct {
		conf            string
		clients, health string // "" is none
		wantError       string
	}{
		{"http_port 35201 require-proxy-header\nhttp_port 127.0.0.1:35202 require-proxy-header name=health\n", "*:35201", "127.0.0.1:35202", ""},
		{"#http_port 1\nhttp_port 10.0.0.1:35201 require-proxy-header\n", "10.0.0.1:35201", "", ""},
		{"http_port 127.0.0.1:1 name=health\nhttp_port [::1]:2 name=healthy", "[::1]:2", "127.0.0.1:1", ""},
		{"http_port 0.0.0.0:35201\n", "*:35201", "", ""},
		{"http_port 127.0.0.1:1 name=health\n", "", "", "has no http_port for clients"},
		{"http_port nowhere:1\n", "", "", "http_port: "},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "squid.conf"), []byte(c.conf), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readListeners(dir)
		if c.wantError != "" {
			if err == nil || !strings.Contains(err.Error(), c.wantError) {
				t.Errorf("%q: error %v, want %q", c.conf, err, c.wantError)
			}
			continue
		}
		health := ""
		if got.health.Port() != 0 {
			health = got.health.String()
		}
		clients := got.clients.String()
		if !got.clients.Addr().IsValid() {
			clients = fmt.Sprintf("*:%d", got.clients.Port())
		}
		if err != nil || clients != c.clients || health != c.health {
			t.Errorf("%q: %s, %s, %v; want %s, %s", c.conf, clients, health, err, c.clients, c.health)
		}
	}
}
