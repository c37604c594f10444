package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

func TestReadEgress(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
	for _, c := range []struct{ answer, want, wantError string }{
		{ok + "151.101.1.9\n", "151.101.1.9", ""},
		{"HTTP/1.0 200 \r\n\r\n2606:4700::9", "2606:4700::9", ""},
		{ok + " ::ffff:151.101.1.9\r\n", "151.101.1.9", ""},
		{"HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\n\r\n151.101.1.9", "", "is not HTTP's 200"},
		{"HTTP/1.1 200 OK\r\n151.101.1.9", "", "is not HTTP's 200"},
		{"SSH-2.0-x\r\n\r\n151.101.1.9", "", "is not HTTP's 200"},
		{"", "", "is not HTTP's 200"},
		{ok, "", `"" is not an IP address`},
		{ok + "<html>" + strings.Repeat("x", 1000), "", "is not an IP address"},
		{ok + "151.101.1.9, 151.101.1.10", "", "is not an IP address"},
		{ok + `151.101.1.9","user":"root`, "", "is not an IP address"},
		{ok + "2606:4700::9%x\"", "", "is not an IP address"},
		{ok + "10.0.0.1", "", "10.0.0.1 is not a public address"},
		{ok + "169.254.170.2", "", "169.254.170.2 is not a public address"},
		{ok + "fd00::1", "", "fd00::1 is not a public address"},
	} {
		got, err := readEgress([]byte(c.answer))
		if c.wantError != "" {
			if err == nil || !strings.Contains(err.Error(), c.wantError) {
				t.Errorf("%q: error %v, want %q", c.answer, err, c.wantError)
			}
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			continue
		}
		if err != nil || got.String() != c.want {
			t.Errorf("%q: %v, %v; want %s", c.answer, got, err, c.want)
		}
	}
}

// answering serves each connection with a function, on the loopback interface.
func answering(t *testing.T, answer func(conn net.Conn, request *http.Request)) (url string) {
	t.Helper()
	address, _ := rig.RawAt(t, "127.0.0.1:0", func(conn net.Conn) {
		if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			answer(conn, request)
		}
	})
	return "http://" + address + "/where?from=here"
}

func TestAskEgress(t *testing.T) {
	ask := func(answer func(net.Conn, *http.Request)) (netip.Addr, error) {
		u, err := parseEgressURL(answering(t, answer))
		must.OK(t, err)
		return askEgress(u)
	}
	got, err := ask(func(conn net.Conn, request *http.Request) {
		got := fmt.Sprint(request.Method, " ", request.RequestURI, " ", request.Proto)
		if want := "GET /where?from=here HTTP/1.0"; got != want || request.Host == "" {
			t.Errorf("request %s for %q, want %s", got, request.Host, want)
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n151.101.1.9\n")
	})
	if err != nil || got.String() != "151.101.1.9" {
		t.Errorf("%v, %v", got, err)
	}
	_, err = ask(func(conn net.Conn, _ *http.Request) {
		for err := error(nil); err == nil; {
			_, err = fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
		}
	})
	if err == nil || !strings.Contains(err.Error(), "is longer than 8192 bytes") {
		t.Errorf("an endless answer: %v", err)
	}
	_, err = ask(func(conn net.Conn, _ *http.Request) { conn.Read(make([]byte, 1)) })
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("without an answer: %v", err)
	}
}

// The whole program: Squid serves while no answer has come; later lines of the log hold the
// address.
func TestEgressIsInEachLineOfTheLog(t *testing.T) {
	var asked atomic.Int32
	answer := make(chan struct{})
	answers := sync.OnceFunc(func() { close(answer) })
	url := answering(t, func(conn net.Conn, _ *http.Request) {
		if asked.Add(1) == 1 {
			fmt.Fprint(conn, "HTTP/1.1 503 Try Again\r\n\r\n151.101.1.1")
			return
		}
		<-answer
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n151.101.1.9\n")
	})
	t.Cleanup(answers)
	lines := "echo '{\"line\":1}'\ntrap \"echo '{\\\"line\\\":2}'\" USR1" + lasts
	f := newFixture(t, fake{run: lines}, credentialsInImage, container.EnvEgressURL+"="+url)
	f.connect()
	p := f.serving()
	line := func(want string) func() bool {
		return func() bool {
			p.Process.Signal(syscall.SIGUSR1)
			return strings.Contains(p.stdout.String(), want)
		}
	}
	must.Await(t, "the first line", line(`{"egress":"-","line":1}`))
	must.Await(t, "the second attempt", func() bool { return asked.Load() == 2 })
	must.Await(t, "a line meanwhile", line(`{"egress":"-","line":2}`))
	answers()
	must.Await(t, "the address", line(`{"egress":"151.101.1.9","line":2}`))
}

// A connection of this program could take the port that Squid is about to listen on.
func TestEgressIsNotAskedForBeforeSquidListens(t *testing.T) {
	var asked atomic.Int32
	url := answering(t, func(net.Conn, *http.Request) { asked.Add(1) })
	f := newFixture(t, serving, credentialsInImage, container.EnvEgressURL+"="+url)
	f.serving()
	time.Sleep(4 * listenerPoll)
	if n := asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
	f.connect()
	must.Await(t, "the question", func() bool { return asked.Load() > 0 })
}
