package integration

import (
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
	"squidfleet/internal/rig"
)

// A bound is one line of the configuration that bounds what somebody may hold.
type bound struct {
	// line is the line with the value that a fleet has, short the one that the test can wait for or
	// fill.
	line, short string
	// also are further lines that have to be short, line to replacement.
	also map[string]string
	// look returns what shows that the bound is not kept; empty if nothing does.
	look func(t *testing.T, task *squidTask) (problem string)
}

var bounds = []bound{
	{"max_filedescriptors 5120", "max_filedescriptors 300", nil, moreConnectionsThanDescriptors},
	{"request_header_max_size 17 KB", "request_header_max_size 17 KB", nil, longHeadersPass},
	{"client_request_buffer_max_size 20 KB", "client_request_buffer_max_size 20 KB", nil, waitingBytesAreHeld},
	{"request_start_timeout 5 seconds", "request_start_timeout 2 seconds", nil, withoutHeaderStaysOpen},
	{"request_timeout 6 seconds", "request_timeout 2 seconds", nil, unfinishedStaysOpen},
	{"client_idle_pconn_timeout 60 seconds", "client_idle_pconn_timeout 2 seconds", nil, idleStaysOpen},
	{"dns_retransmit_interval 750 milliseconds", "dns_retransmit_interval 750 milliseconds", nil,
		nameIsServed("lost.example", "lost-again.example")},
	{"dns_timeout 4500 milliseconds", "dns_timeout 4500 milliseconds", nil, nameIsServed("no-ipv6.example")},
	{"connect_timeout 15 seconds", "connect_timeout 2 seconds", nil, deadAddressIsWaitedFor("dead.example")},
	{"forward_timeout 60 seconds", "forward_timeout 3 seconds",
		map[string]string{"connect_timeout 15 seconds": "connect_timeout 2 seconds"},
		deadAddressIsWaitedFor("alldead.example")},
	{"read_timeout 345 seconds", "read_timeout 3 seconds", nil, silenceIsWaitedFor},
	{"write_timeout 345 seconds", "write_timeout 2 seconds", nil, unreadAnswerIsKept},
}

// soon is within what the short values give, with time to spare. Without its line, each bound is
// Squid's default: half a minute or more.
const soon = 8 * time.Second

// Each bound is kept, and by its own line: without that, it is not.
func TestEachBoundIsKeptByItsLine(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(stubborn))
	dead := deadPort(t, rig.LastPort)
	w.names.Set("dead.example", "93.184.215.100")
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("93.184.215.%d", 100+i))
	}
	w.names.Set("alldead.example", many...)
	setBadNames(w.names)
	for i, b := range bounds {
		start := func(t *testing.T, port int, replacement string) (*squidTask, error) {
			o := options(map[string]any{"httpPorts": fmt.Sprintf("80,%d", dead), "listenerPort": port})
			o = o.and(replacing(t, b.line, replacement))
			for line, by := range b.also {
				o = o.and(replacing(t, line, by))
			}
			return tryTask(t, o)
		}
		t.Run(b.line, func(t *testing.T) {
			t.Parallel()
			task, err := start(t, rig.FirstPort+20*i, b.short)
			must.OK(t, err)
			if problem := b.look(t, task); problem != "" {
				t.Error(problem)
			}
			task.Kill()
		})
		t.Run("without "+b.line, func(t *testing.T) {
			t.Parallel()
			task, err := start(t, rig.FirstPort+20*i+10, "")
			if err != nil && strings.Contains(err.Error(), "cannot hold a request with 65536 bytes of headers") {
				return // the buffer is made for shorter ones
			}
			must.OK(t, err)
			problem := b.look(t, task)
			task.Kill()
			if problem == "" {
				t.Error("it is kept all the same")
			}
			t.Log(problem)
		})
	}
}

// replacing returns an edit that puts something in the place of a line.
func replacing(t *testing.T, line, by string) func(conf string) string {
	return func(conf string) string {
		if !strings.Contains(conf, "\n"+line+"\n") {
			t.Errorf("the configuration has no line %q", line)
		}
		return strings.Replace(conf, "\n"+line+"\n", "\n"+by+"\n", 1)
	}
}

// stubborn is a destination that answers late, slowly or without an end.
func stubborn(rw http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(rw).Flush
	switch r.URL.Path {
	case "/never":
		<-r.Context().Done()
	case "/slowly":
		for range 4 {
			io.WriteString(rw, "x")
			flush()
			time.Sleep(1200 * time.Millisecond)
		}
	case "/endless":
		for piece := make([]byte, 64<<10); ; {
			if _, err := rw.Write(piece); err != nil {
				return
			}
		}
	}
}

// deadPort has every address of the namespace let connections to a port wait for ever; 0 stands for
// any port.
func deadPort(t *testing.T, port int) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	must.OK(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	must.OK(t, syscall.Bind(fd, &syscall.SockaddrInet4{Port: port}))
	// Nobody accepts, and once one connection waits to be, the kernel answers no other.
	must.OK(t, syscall.Listen(fd, 0))
	bound, err := syscall.Getsockname(fd)
	must.OK(t, err)
	port = bound.(*syscall.SockaddrInet4).Port
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	must.OK(t, err)
	t.Cleanup(func() { conn.Close() })
	return port
}

// closes says whether the other side ends the connection soon, whatever it sends before.
func closes(conn net.Conn) bool {
	conn.SetReadDeadline(time.Now().Add(soon))
	_, err := io.Copy(io.Discard, conn)
	return err == nil || !os.IsTimeout(err)
}

// dial is a connection that has sent what it is given.
func dial(t *testing.T, c rig.Client, bytes string) net.Conn {
	t.Helper()
	conn, err := c.Write(bytes)
	must.OK(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// authenticated is a connection on which a GET with credentials has been sent.
func authenticated(t *testing.T, task *squidTask, target string) net.Conn {
	t.Helper()
	conn, err := client(task).Send("GET", target)
	must.OK(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// within is the answer to a GET with credentials, if it comes soon.
func within(t *testing.T, task *squidTask, target string) (*rig.Response, error) {
	t.Helper()
	conn := authenticated(t, task, target)
	conn.SetReadDeadline(time.Now().Add(soon))
	return rig.Read(conn, "GET")
}

func descriptorsOf(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must.OK(t, err)
	return len(entries)
}

func moreConnectionsThanDescriptors(t *testing.T, task *squidTask) string {
	for range 400 {
		dial(t, client(task), "")
	}
	time.Sleep(time.Second)
	if n := descriptorsOf(t, squidOf(t, task)); n > 300 {
		return fmt.Sprintf("%d descriptors", n)
	}
	return ""
}

func longHeadersPass(_ *testing.T, task *squidTask) string {
	for size, want := range map[int]int{16 << 10: 200, 18 << 10: 431, 200 << 10: 431} {
		response, err := client(task).Request("GET", "http://origin.example/", "Cookie: "+strings.Repeat("x", size))
		switch {
		case want == 431 && err != nil: // cut off while it was still sending
		case err != nil || response.StatusCode != want:
			return fmt.Sprintf("headers of %d bytes: %+v, %v", size, response, err)
		}
	}
	// With credentials, which have the URL once more.
	const around, line = len("GET  HTTP/1.1"), 8000
	target := "http://origin.example/"
	target += strings.Repeat("x", line-around-len(target))
	if response, err := client(task).Request("GET", target); err != nil || response.StatusCode != 200 {
		return fmt.Sprintf("a request line of %d octets: %+v, %v", line, response, err)
	}
	return ""
}

// waitingBytesAreHeld has clients send a great deal while they wait for an answer.
func waitingBytesAreHeld(t *testing.T, task *squidTask) string {
	const clients = 100
	squid := squidOf(t, task)
	var conns []net.Conn
	for range clients {
		conns = append(conns, authenticated(t, task, "http://origin.example/never"))
	}
	before := memoryOf(t, squid, "status", "VmRSS")
	for _, conn := range conns {
		conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		conn.Write(make([]byte, 2<<20))
	}
	if each := (memoryOf(t, squid, "status", "VmRSS") - before) / clients; each > 64 {
		return fmt.Sprintf("%d kB held for each", each)
	}
	return ""
}

func withoutHeaderStaysOpen(t *testing.T, task *squidTask) string {
	c := client(task)
	c.Header = nil
	if !closes(dial(t, c, "")) {
		return "a connection without a PROXY header stays open"
	}
	return ""
}

func unfinishedStaysOpen(t *testing.T, task *squidTask) string {
	open := map[string]net.Conn{}
	for _, sent := range []string{"", "GET http://orig", "GET http://origin.example/ HTTP/1.1\r\nX: y\r\n"} {
		open[sent] = dial(t, client(task), sent)
	}
	return staysOpen(open)
}

// staysOpen names a connection by what it has sent, if it is not closed soon.
func staysOpen(all map[string]net.Conn) string {
	for sent, conn := range all {
		if !closes(conn) {
			return fmt.Sprintf("a connection that has sent %q stays open", sent)
		}
	}
	return ""
}

func idleStaysOpen(t *testing.T, task *squidTask) string {
	open := map[string]net.Conn{}
	for _, sent := range []string{
		"GET http://origin.example/ HTTP/1.1\r\n\r\n",
		"POST http://origin.example/ HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nonly so much",
	} {
		for _, next := range []string{"", "GET http://orig"} {
			conn := dial(t, client(task), sent)
			_, err := rig.Read(conn, "GET")
			must.OK(t, err)
			io.WriteString(conn, next)
			open[sent+next] = conn
		}
	}
	return staysOpen(open)
}

// deadAddressIsWaitedFor asks for a name whose addresses do not answer.
func deadAddressIsWaitedFor(name string) func(*testing.T, *squidTask) string {
	return func(t *testing.T, task *squidTask) string {
		if got := code(within(t, task, fmt.Sprintf("http://%s:%d/", name, rig.LastPort))); got != noAddress {
			return fmt.Sprint("status ", got)
		}
		return ""
	}
}

func silenceIsWaitedFor(t *testing.T, task *squidTask) string {
	tunnel, response, err := client(task).Tunnel("origin.example:443")
	if err != nil || tunnel == nil {
		t.Fatalf("%+v, %v", response, err)
	}
	defer tunnel.Close()
	const page = "The destination did not answer in time.\n"
	late, err := within(t, task, "http://origin.example/never")
	if err != nil || late.StatusCode != 504 || late.Text != page {
		return fmt.Sprintf("%+v, %v", late, err)
	}
	if !closes(tunnel) {
		return "a silent tunnel stays open"
	}
	// What takes longer than that altogether is no silence.
	response, err = client(task).Request("GET", "http://origin.example/slowly")
	if err != nil || response.Text != "xxxx" {
		return fmt.Sprintf("a slow answer: %+v, %v", response, err)
	}
	return ""
}

func unreadAnswerIsKept(t *testing.T, task *squidTask) string {
	squid := squidOf(t, task)
	// The connection by which the start was noticed may still be there.
	before := descriptorsOf(t, squid)
	must.Within(time.Second, func() bool {
		before = min(before, descriptorsOf(t, squid))
		return false
	})
	authenticated(t, task, "http://origin.example/endless")
	if !must.Within(soon, func() bool { return descriptorsOf(t, squid) >= before+2 }) { // the client's and the origin's
		t.Fatal("the answer never began")
	}
	if !must.Within(soon, func() bool { return descriptorsOf(t, squid) <= before }) {
		return "a connection whose client reads nothing stays open"
	}
	return ""
}
