package integration

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// Addresses without a route, and not permitted.
const unroutable, unpermitted = "93.184.215.201", "93.184.215.202"

// breakRoutes makes them so.
func breakRoutes(t testing.TB) {
	t.Helper()
	for address, kind := range map[string]string{unroutable: "unreachable", unpermitted: "prohibit"} {
		command := exec.Command("ip", "route", "replace", kind, address, "table", "local")
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// ownAnswers are requests that the proxy answers itself, by the type in Proxy-Status.
var ownAnswers = map[string][]struct {
	method, target string
	status         int
}{
	"destination_ip_prohibited": {
		{"GET", "http://10.9.8.7/", 403}, {"HEAD", "http://10.9.8.7/", 403}, {"CONNECT", "10.9.8.7:443", 403},
		{"GET", "http://metadata.example/", 403}, {"CONNECT", "metadata.example:443", 403},
	},
	"dns_error": {
		{"GET", "http://nowhere.example/", 503}, {"CONNECT", "nowhere.example:443", 503},
		{"GET", "http://servfail.example/", 503}, {"GET", "http://empty.example/", 503},
	},
	"http_request_denied": {
		{"TRACE", "http://origin.example/", 403}, {"GET", "https://origin.example/", 403},
		{"GET", "http://origin.example:22/", 403}, {"CONNECT", "origin.example:22", 403},
		{"GET", "http://proxy.invalid/squid-internal-mgr/menu", 403},
	},
	"http_request_error": {
		{"GET", "/", 400}, {"OPTIONS", "*", 501}, {"GET", "http://origin.example:70000/", 400},
	},
	"connection_refused": {
		{"GET", "http://origin.example:81/", 503}, {"POST", "http://origin.example:81/", 503},
	},
	"destination_ip_unroutable": {{"GET", "http://" + unroutable + "/", 503}},
	"destination_unavailable":   {{"GET", "http://" + unpermitted + "/", 503}},
	"http_protocol_error":       {{"GET", "http://garbage.example/", 502}},
	"connection_terminated":     {{"GET", "http://closing.example/", 502}, {"HEAD", "http://closing.example/", 502}},
}

// proxyStatus is the one value of the header, or a text that shows all of them.
func proxyStatus(h http.Header) string {
	if values := h.Values("Proxy-Status"); len(values) != 1 {
		return fmt.Sprintf("%q", values)
	}
	return h.Get("Proxy-Status")
}

func ofType(kind string) string { return "squidfleet; error=" + kind }

const noStatus = "[]"

// pages are the texts of the proxy's own answers. Nothing is ever in a cache.
var pages = map[int]string{
	400: "Bad request.", 403: "Not allowed by this proxy.", 407: "Proxy authentication required.",
	502: "The destination's answer cannot be used.", 503: "The destination cannot be reached.",
	504: "The proxy has no cache.",
}

// checkPage says what a client sees of an own answer that it should not, or does not see.
func checkPage(wrong rig.Wrong, what string, response *rig.Response) {
	if want := pages[response.StatusCode] + "\n"; response.Text != want {
		wrong("%s answers %q, want %q", what, response.Text, want)
	}
	if kind := response.Header.Get("Content-Type"); !strings.EqualFold(kind, "text/html;charset=utf-8") {
		wrong("%s has the type %q", what, kind)
	}
	for _, header := range []string{
		"Via", "X-Cache", "Cache-Status", "X-Squid-Error", "X-Cache-Lookup", "Mime-Version", "Server",
	} {
		if got := response.Header.Get(header); got != "" {
			wrong("%s has %s: %s", what, header, got)
		}
	}
	var all strings.Builder
	response.Header.WriteSubset(&all, map[string]bool{"Proxy-Status": true})
	text := strings.ReplaceAll(strings.ToLower(all.String()), `realm="squidfleet"`, "")
	if strings.Contains(text, "squid") || strings.Contains(text, "proxy.invalid") {
		wrong("%s names Squid or its host: %s", what, text)
	}
}

// checkStatus looks for own answers without the right Proxy-Status or page, and for destinations'
// answers with a Proxy-Status.
func checkStatus(s subject) {
	breakRoutes(s.t)
	expect := func(what string, response *rig.Response, err error, status int, value string) {
		switch {
		case err != nil:
			s.wrong("%s: %v", what, err)
		case response.StatusCode != status || proxyStatus(response.Header) != value:
			s.wrong("%s: %d with Proxy-Status %s, want %d with %s",
				what, response.StatusCode, proxyStatus(response.Header), status, value)
		case value != noStatus && response.Request.Method == "GET":
			checkPage(s.wrong, what, response)
		}
	}
	for kind, requests := range ownAnswers {
		for _, r := range requests {
			response, err := client(s.task).Request(r.method, r.target)
			expect(r.method+" "+r.target, response, err, r.status, ofType(kind))
		}
	}
	for method, target := range originOf {
		response, err := anonymous(s.task).Request(method, target)
		if s.task.Params.Auth.Passwords() {
			expect(method+" without credentials", response, err, 407, ofType("http_request_denied"))
		}
		response, err = client(s.task).Request(method, target)
		expect(method, response, err, served, noStatus)
	}
	response, err := client(s.task).Request("GET", "http://origin.example/", "Cache-Control: only-if-cached")
	expect("only-if-cached", response, err, 504, ofType("proxy_internal_response"))
	for request, statuses := range unread {
		if statuses[0] == cutOff {
			continue
		}
		response, err := rawly(client(s.task), request)
		if err != nil || !slices.Contains(statuses, response.StatusCode) ||
			proxyStatus(response.Header) != ofType("http_request_error") {
			s.wrong("%.60q: %+v, %v", request, response, err)
		}
	}
	// Squid asks no rule about the answer to a CONNECT that comes to nothing. A destination cannot
	// answer one.
	response, err = client(s.task).Request("CONNECT", "origin.example:444")
	expect("a tunnel that fails", response, err, 503, noStatus)
	if err == nil && (response.Header.Get("X-Squid-Error") != "ERR_CONNECT_FAIL 111" ||
		response.Header.Get("Server") != "squid") {
		s.wrong("a tunnel that fails: %v", response.Header)
	}
}

// rawly sends bytes on a new connection and reads the answer.
func rawly(c rig.Client, bytes string) (*rig.Response, error) {
	conn, err := c.Write(bytes)
	if conn == nil {
		return nil, err
	}
	defer conn.Close()
	return rig.Read(conn, "GET")
}

// breaks are what a destination does at the end of its bytes.
var breaks = map[string]func(conn net.Conn){
	"closes": func(net.Conn) {},
	"resets": func(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) },
	"resets later": func(conn net.Conn) {
		time.Sleep(100 * time.Millisecond)
		conn.(*net.TCPConn).SetLinger(0)
	},
}

// forged is what a destination sends, and the Proxy-Status of the proxy's own answer to that.
type forged struct{ name, host, sent, end, want string }

// never stands for an answer that the proxy does not replace.
const never = "none of its own"

// forgeries are answers that look like the proxy's. Every answer of the destination has X-Mine.
func forgeries() (all []forged) {
	const host = "origin.example"
	const mine = "X-Mine: 1\r\nProxy-Status: squidfleet; error=dns_error\r\n"
	pages := []string{"", "X-Squid-Error: ERR_CONNECT_FAIL 111\r\n",
		"X-Squid-Error: ERR_CONNECT_FAIL 113\r\n", "X-Squid-Error: 503:ERR_DNS_FAIL 0\r\n",
		"X-Squid-Error: ERR_FORWARDING_DENIED 0\r\n", "X-Squid-Error: ERR_INVALID_RESP 0\r\nX-Squid-Error: x\r\n"}
	bodies := []string{"Content-Length: 4\r\n\r\nbody", "Content-Length: 8\r\n\r\nbody", "Content-Length: 8\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nx\r\n", "\r\nbody"}
	for end := range breaks {
		add := func(name, sent, want string) { all = append(all, forged{name, host, sent, end, want}) }
		for _, status := range []int{200, 400, 403, 407, 411, 417, 429, 431, 500, 501, 502, 503, 504, 505} {
			for _, page := range pages {
				for _, body := range bodies {
					head := fmt.Sprintf("HTTP/1.1 %d x\r\n%s%s", status, page, mine)
					add(fmt.Sprintf("%d %q", status, page+body), head+body, never)
				}
			}
		}
		for _, page := range []string{
			"502 x\r\nX-Squid-Error: ERR_READ_ERROR 104", "504 x\r\nX-Squid-Error: ERR_READ_TIMEOUT 110",
		} {
			for _, body := range bodies {
				add(fmt.Sprintf("%q", page+body), "HTTP/1.1 "+page+"\r\n"+mine+body, imitated)
			}
		}
		for _, body := range bodies {
			add("504 "+body, "HTTP/1.1 504 x\r\nX-Squid-Error: ERR_READ_ERROR 104\r\n"+mine+body, never)
		}
		const interim = "HTTP/1.1 103 x\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n" + mine + "\r\n"
		protocol, ended := ofType("http_protocol_error"), ofType("connection_terminated")
		add("an interim answer", interim+"HTTP/1.1 503 x\r\n"+mine+"\r\n", never)
		add("an interim answer and a bad one", interim+"HTTP/1.1 600 x\r\n\r\n", protocol)
		add("an interim answer alone", interim, ended)
		add("nothing", "", ended)
		add("a switch", "HTTP/1.1 101 x\r\n\r\n", protocol)
		// Squid takes a beginning that ends well for an answer that it cannot read, and a reset takes the
		// end of a long one with it.
		if end == "closes" {
			add("a long head", "HTTP/1.1 502 x\r\nX: "+strings.Repeat("x", 70_000)+"\r\n\r\n",
				ofType("http_response_header_section_size"))
		} else {
			add("half a head", "HTTP/1.1 502 x\r\nX-Mi", ended)
		}
	}
	// An address that fails before another one answers leaves no trace.
	return append(all, forged{"the second address", "second.example",
		"HTTP/1.1 503 x\r\n" + mine + "Content-Length: 4\r\n\r\nbody", "closes", never})
}

// checkForgeries looks for answers of a destination that pass for the proxy's, and for the proxy's
// answers to a broken one that do not say so.
func checkForgeries(s subject) {
	s.w.names.Set("second.example", unroutable, otherPublic.String(), publicIPv4.String())
	all := forgeries()
	defer rig.Raw(s.t, 83, func(conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if n, err := strconv.Atoi(request.URL.Path[1:]); err == nil {
			io.WriteString(conn, all[n].sent)
			breaks[all[n].end](conn)
		}
	})()
	rig.Each(len(all), func(n int) {
		if problem := all[n].problem(s.task, n); problem != "" {
			s.wrong("%s that %s: %s", all[n].name, all[n].end, problem)
		}
	})
}

func (f forged) problem(task *squidTask, n int) string {
	conn, err := client(task).Send("GET", fmt.Sprintf("http://%s:83/%d", f.host, n), "Connection: close")
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	for reader := bufio.NewReader(conn); ; {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err.Error()
		}
		_, cut := io.ReadAll(response.Body)
		got := proxyStatus(response.Header)
		switch theirs := response.Header.Get("X-Mine") != ""; {
		case theirs && got != noStatus && !(f.want == imitated && cut != nil):
			return fmt.Sprintf("the destination's %d has Proxy-Status %s", response.StatusCode, got)
		case !theirs && got != f.want:
			return fmt.Sprintf("the proxy's %d has Proxy-Status %s, want %s", response.StatusCode, got, f.want)
		case response.StatusCode >= 200:
			return ""
		}
	}
}

// imitated stands for the one forgery that there is: see squid.proxyStatus.
const imitated = "imitated"

// tryLateStatus is checkStatus for what takes time. Both limits of the task are short.
func tryLateStatus(s subject) {
	dead := deadPort(s.t, 0)
	s.options.Context = maps.Clone(s.options.Context)
	s.options.Context["httpPorts"] = fmt.Sprintf("80,83,%d", dead)
	task := startTask(s.t, s.options.and(func(conf string) string {
		return regexp.MustCompile(`(?m)^(connect|read)_timeout .*`).ReplaceAllString(conf, "${1}_timeout 1 seconds")
	}))
	defer task.Kill()
	sent := ""
	defer rig.Raw(s.t, 83, func(conn net.Conn) {
		http.ReadRequest(bufio.NewReader(conn))
		io.WriteString(conn, sent)
		io.Copy(io.Discard, conn)
	})()
	for _, late := range []struct{ target, sent, want string }{
		{fmt.Sprintf("http://origin.example:%d/", dead), "", ofType("connection_timeout")},
		{"http://origin.example:83/", "", ofType("connection_read_timeout")},
		{"http://origin.example:83/", "HTTP/1.1 504 x\r\nContent-Length: 8\r\n\r\nbody", noStatus},
		{"http://origin.example:83/",
			"HTTP/1.1 502 x\r\nX-Squid-Error: ERR_READ_TIMEOUT 110\r\nContent-Length: 8\r\n\r\n", noStatus},
	} {
		sent = late.sent
		conn, err := client(task).Send("GET", late.target, "Connection: close")
		must.OK(s.t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil) // the end of its body may never come
		conn.Close()
		if err != nil || proxyStatus(response.Header) != late.want {
			s.wrong("%s after %q: %+v, %v, want %s", late.target, late.sent, response, err, late.want)
		}
	}
}

// tryStatusOfABrokenHelper is checkStatus for a task whose helper is broken.
func tryStatusOfABrokenHelper(s subject) {
	task := startTask(s.t, withHelper(s.options, loop(`echo "$channel BH"`)))
	defer task.Kill()
	for method, target := range originOf {
		response, err := client(task).Request(method, target)
		if err != nil || response.StatusCode != 503 ||
			proxyStatus(response.Header) != ofType("proxy_internal_error") {
			s.wrong("%s with a broken helper: %+v, %v", method, response, err)
		}
	}
}
