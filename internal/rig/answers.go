package rig

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"squidfleet/internal/must"
)

// Answers are made-up answers of a destination, the same ones for the same seed and names.
type Answers struct {
	Seed uint64
	// Names are those of headers that the configuration mentions.
	Names []string
}

var headerRule = regexp.MustCompile(`(?m)^re(?:quest|ply)_header_(?:access|add|replace) (\S+)`)

// AnswersFor has the names of the headers that a squid.conf has rules about.
func AnswersFor(conf string) Answers {
	a := Answers{Seed: 11}
	for _, match := range headerRule.FindAllStringSubmatch(conf, -1) {
		a.Names = append(a.Names, match[1])
	}
	return a
}

// asksFor is the header that holds the number of the answer that a client wants.
const asksFor = "X-Answer"

// serve has the target answer with the bytes asked for, and close.
func (a Answers) serve(t testing.TB, target string) (stop func()) {
	return Raw(t, portOf(target), func(conn net.Conn) {
		lines, err := ReadHead(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if n, err := strconv.Atoi(HeaderIn(lines, asksFor)); err == nil {
			bytes := a.Bytes(n)
			// Two packets, parted anywhere.
			cut := n % (len(bytes) + 1)
			conn.Write(bytes[:cut])
			conn.Write(bytes[cut:])
		}
	})
}

// Ask asks a task for the answers 0 to count-1 of a target. The test fails if the task is gone.
func (a Answers) Ask(t testing.TB, c Client, target string, count int) {
	t.Helper()
	defer a.serve(t, target)()
	heads := map[string]string{}
	for _, method := range []string{"GET", "HEAD"} {
		head, err := c.head(method, target)
		must.OK(t, err)
		heads[method] = head + "Connection: close\r\n" + asksFor + ": "
	}
	var gone atomic.Bool
	Each(count, func(n int) {
		if gone.Load() {
			return
		}
		method := "GET"
		if n%8 == 7 {
			method = "HEAD"
		}
		conn, err := c.Dial()
		if err != nil {
			if !gone.Swap(true) {
				t.Errorf("%v, with seed %d after these:\n", err, a.Seed)
				for last := max(0, n-16); last < n; last++ {
					t.Logf("answer %d: %.2000q", last, a.Bytes(last))
				}
			}
			return
		}
		io.WriteString(conn, heads[method]+strconv.Itoa(n)+"\r\n"+a.requestHeaders(n)+"\r\n")
		io.Copy(io.Discard, conn)
		conn.Close()
	})
}

// Each does something for the numbers from 0 to count-1, in their order, eight at a time.
func Each(count int, do func(n int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for n := int(next.Add(1)) - 1; n < count; n = int(next.Add(1)) - 1 {
				do(n)
			}
		})
	}
	workers.Wait()
}

// requestHeaders are what every fourth client sends besides, for the rules about requests.
func (a Answers) requestHeaders(n int) string {
	if n%4 != 0 {
		return ""
	}
	r := rand.New(rand.NewPCG(a.Seed, uint64(n)))
	var out strings.Builder
	for range r.IntN(20) {
		fmt.Fprintf(&out, "%s: %d\r\n", a.Names[r.IntN(len(a.Names))], r.IntN(3))
	}
	return out.String()
}

// commonNames are headers that Squid reads, adds or drops.
var commonNames = []string{
	"Accept-Ranges", "Age", "Allow", "Alternate-Protocol", "Authentication-Info", "Cache-Control", "Connection",
	"Content-Encoding", "Content-Location", "Content-Range", "Content-Type", "Cookie", "Date", "ETag", "Expires",
	"Host", "Keep-Alive", "Last-Modified", "Link", "Location", "Mime-Version", "Negotiate", "Pragma",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection", "Proxy-Support",
	"Range", "Retry-After", "Server", "Set-Cookie", "Surrogate-Control", "TE", "Trailer", "Upgrade", "Vary",
	"Warning", "WWW-Authenticate", "X-Accelerator-Vary", "X-Cache", "X-Forwarded-For", "X-Made-Up",
	"X-Request-URI", "X-Squid-Error", "X-Transformed-From", "",
}

// The other parts of answers. Most answers with an odd one are refused.
var (
	interims  = []string{"100", "101", "102", "103", "103", "199"}
	versions  = []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.0"}
	statuses  = []string{"200", "200", "204", "206", "302", "304", "400", "401", "407", "416", "500", "503"}
	oddStarts = []string{"HTTP/0.9 200", "HTTP/2.0 200", "HTTP/1.2 200", "HTTP/11 200", "HTTP/1.1.1 200",
		"http/1.1 200", "ICY 200", "HTTP/ 200", "HTTP/1.1 000", "HTTP/1.1 99", "HTTP/1.1 100", "HTTP/1.1 101",
		"HTTP/1.1 600", "HTTP/1.1 999", "HTTP/1.1 1000", "HTTP/1.1 -1", "HTTP/1.1 abc", "HTTP/1.1 20", "HTTP/1.1 "}
	reasons = []string{" OK", " OK", " OK", "", " ", " \x00", "  two  words", " " + strings.Repeat("long ", 100)}
	values  = []string{"x", "x", "", " ", ",", ",,", "close", "keep-alive", "Server, X-Squid-Error, Via", "upgrade",
		"h2c", "0", "-1", "99999999999999999999", "Thu, 01 Jan 1970 00:00:00 GMT", "NTLM", "Negotiate x", "Basic",
		"Digest realm=\"squidfleet\", nonce=\"x\"", "*", "no-cache, private=\"a", "max-age=-1", "bytes 0-1/2",
		"bytes */-1", "Accept, User-Agent, *", "max-age=1;x=\"", "a\r\n folded", "\xff\xfe", "\"", "http://[::1", "/",
		"text/html;charset=", strings.Repeat("v", 2000)}
	oddHeaders = []string{"X: a\x00b", "X: a\rb", "X: a\n", "no colon", ": no name", "A b: space in a name", "x : x"}
	// LEN is the body's length, HEX the same in chunks.
	framings = []string{"Content-Length: LEN", "Content-Length: LEN", "", "Content-Length: 0",
		"Content-Length: 999999", "Content-Length: LEN\r\nContent-Length: LEN"}
	oddFramings = []string{"Content-Length: LEN\r\nContent-Length: 1", "Content-Length: -1", "Content-Length: +LEN",
		"Content-Length: LEN, LEN", "Content-Length: 9223372036854775807", "Content-Length: 18446744073709551616",
		"Content-Length:", "Content-Length: LEN x", "Content-Length : LEN"}
	chunkings    = []string{"Transfer-Encoding: chunked", "transfer-encoding:  CHUNKED "}
	oddChunkings = []string{"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked",
		"Transfer-Encoding: identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: x", "Transfer-Encoding:", "Transfer-Encoding: chunked\r\nContent-Length: 3"}
	chunks = []string{"HEX\r\nBODY\r\n0\r\n\r\n", "HEX \r\nBODY\r\n0\r\n\r\n", "HEX\r\nBODY", "-1\r\nBODY",
		"HEX;a=b\r\nBODY\r\n0;c\r\nX-Squid-Error: x\r\nVia: x\r\n\r\n", "\r\nBODY", "0xHEX\r\nBODY\r\n0\r\n\r\n",
		"ffffffffffffffffff\r\nBODY", "7fffffffffffffff\r\nBODY", "HEX\r\nBODYX\r\n0\r\n\r\n", "HEX\nBODY\n0\n\n",
		"0\r\n\r\nBODY", "HEX;a=\"\\\r\nBODY\r\n0\r\n\r\n"}
)

// Bytes is one answer.
func (a Answers) Bytes(n int) []byte {
	r := rand.New(rand.NewPCG(a.Seed, uint64(n)))
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	mostly := func(usual string, odd []string, one int) string {
		if r.IntN(one) == 0 {
			return pick(odd)
		}
		return usual
	}
	noise := func(most int) string {
		out := make([]byte, r.IntN(most))
		for i := range out {
			out[i] = byte(r.Uint32())
		}
		return string(out)
	}
	names := append(slices.Clone(commonNames), slices.Repeat(a.Names, 1+len(commonNames)/len(a.Names))...)
	headers := func(most int) (all string) {
		for range r.IntN(most) {
			all += mostly(pick(names)+": "+pick(values), append(oddHeaders, noise(20)+": x"), 70) + "\r\n"
		}
		return all
	}
	text := ""
	for r.IntN(4) == 0 {
		text += "HTTP/1.1 " + pick(interims) + pick(reasons) + "\r\n" + headers(6) + "\r\n"
	}
	switch r.IntN(20) {
	case 0:
		text += noise(3000)
	case 1: // nothing, or an interim answer alone
	default:
		text += mostly(pick(versions)+" "+pick(statuses), oddStarts, 5) + pick(reasons) + "\r\n" + headers(12)
		if r.IntN(20) == 0 {
			text += strings.Repeat("X-Long: "+strings.Repeat("x", 1000)+"\r\n", r.IntN(80))
		}
		body := strings.Repeat("b", r.IntN(2000))
		framing, content := mostly(pick(framings), oddFramings, 5), body
		if r.IntN(3) == 0 {
			framing, content = mostly(pick(chunkings), oddChunkings, 3), pick(chunks)
		}
		fill := strings.NewReplacer("LEN", strconv.Itoa(len(body)), "HEX", fmt.Sprintf("%x", len(body)), "BODY", body)
		if framing != "" {
			text += fill.Replace(framing) + "\r\n"
		}
		text += headers(3) + "\r\n" + fill.Replace(content)
	}
	if r.IntN(8) == 0 {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	if r.IntN(10) == 0 {
		text = text[:r.IntN(len(text)+1)]
	}
	return []byte(text)
}

const (
	badGateway = "HTTP/1.1 502 Bad Gateway\nDate: D\nContent-Type: text/html;charset=utf-8\nContent-Length: "
	status     = "Connection: close\nProxy-Status: squidfleet; error="
	unusable   = "\n\nThe destination's answer cannot be used.\n"

	cannotBeUsed = badGateway + "41\n" + status + "http_protocol_error" + unusable
	nothing      = badGateway + "41\n" + status + "connection_terminated" + unusable
	tooLong      = badGateway + "88\n" + status + "http_response_header_section_size\n\n" +
		"The request is too long (status 4xx), or the destination's answer cannot be used (502).\n"
)

// answered is what a client sees of what a destination sends until it closes. \n is CRLF.
var answered = []struct{ name, sent, seen string }{
	{"a plain one", "HTTP/1.1 200 OK\nServer: s\nX-Mine: 1\nContent-Length: 4\n\nbody",
		"HTTP/1.1 200 OK\nServer: s\nX-Mine: 1\nContent-Length: 4\nDate: D\nConnection: close\n\nbody"},
	{"its own Date and reason", "HTTP/1.1 200 Fine\nDate: Thu, 01 Jan 1970 00:00:00 GMT\nContent-Length: 0\n\n",
		"HTTP/1.1 200 OK\nDate: D\nContent-Length: 0\nConnection: close\n\n"},
	{"no HTTP", "hello",
		"HTTP/1.1 200 OK\nExpires: -1\nDate: D\nTransfer-Encoding: chunked\nConnection: close\n\n5\nhello\n0\n\n"},
	{"HTTP/2.0", "HTTP/2.0 200 OK\n\n", "HTTP/1.1 200 OK\nExpires: -1\nDate: D\nTransfer-Encoding: chunked\n" +
		"Connection: close\n\n13\nHTTP/2.0 200 OK\n\n\n0\n\n"},
	{"ICY", "ICY 200 OK\nServer: s\n\nbody", "ICY 200 OK\nServer: s\nDate: D\nConnection: close\n\nbody"},
	{"HTTP/1.0 without a length", "HTTP/1.0 200 OK\n\nbody",
		"HTTP/1.1 200 OK\nDate: D\nTransfer-Encoding: chunked\nConnection: close\n\n4\nbody\n0\n\n"},
	{"chunks and a trailer", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-T\n\n4\nbody\n0\nX-T: 1\n\n",
		"HTTP/1.1 200 OK\nDate: D\nTransfer-Encoding: chunked\nConnection: close\n\n4\nbody\n0\n\n"},
	{"headers of a cache", "HTTP/1.1 200 OK\nAge: 10\nWarning: 110 x \"stale\"\nVary: *\nExpires: 0\n" +
		"Cache-Control: no-store\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\nAge: 10\nWarning: 110 x \"stale\"\n" +
		"Vary: *\nExpires: 0\nCache-Control: no-store\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"headers of the connection", "HTTP/1.1 200 OK\nKeep-Alive: timeout=5\nConnection: keep-alive, X-Mine\n" +
		"X-Mine: 1\nProxy-Connection: x\nUpgrade: h2c\nAlternate-Protocol: x\nContent-Length: 0\n\n",
		"HTTP/1.1 200 OK\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"as if it were the proxy's", "HTTP/1.1 200 OK\nX-Squid-Error: x\nServer: s\nMime-Version: 1.0\n" +
		"X-Transformed-From: x\nVia: x\nX-Cache: x\nX-Cache-Lookup: x\nCache-Status: x\n" +
		"Proxy-Status: squidfleet; error=dns_error\nContent-Length: 0\n\n",
		"HTTP/1.1 200 OK\nServer: s\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"names that Squid knows",
		"HTTP/1.1 200 OK\nSurrogate-Control: x\nX-Accelerator-Vary: x\nX-Request-URI: x\nContent-Length: 0\n\n",
		"HTTP/1.1 200 OK\nX-Accelerator-Vary: x\nX-Request-URI: x\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"a challenge of a proxy",
		"HTTP/1.1 407 x\nProxy-Authenticate: Basic\nProxy-Authentication-Info: x\nServer: s\nContent-Length: 0\n\n",
		"HTTP/1.1 407 Proxy Authentication Required\nServer: s\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"a challenge of a proxy before the answer", "HTTP/1.1 103 x\nLink: x\nProxy-Authenticate: Basic\nServer: s\n" +
		"Via: x\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 103 Early Hints\nLink: x\nServer: s\n" +
		"Connection: keep-alive\n\nHTTP/1.1 200 OK\nContent-Length: 0\nDate: D\nConnection: close\n\n"},
	{"an offer that needs a connection of its own", "HTTP/1.1 401 x\nWWW-Authenticate: NTLM\n" +
		"WWW-Authenticate: Negotiate\nWWW-Authenticate: Kerberos x\nWWW-Authenticate: Basic realm=x\n" +
		"Content-Length: 0\n\n", "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm=x\nContent-Length: 0\n" +
		"Date: D\nConnection: close\n\n"},
	{"304", "HTTP/1.1 304 x\nServer: s\nETag: \"x\"\nContent-Length: 4\n\n",
		"HTTP/1.1 304 Not Modified\nServer: s\nETag: \"x\"\nContent-Length: 4\nDate: D\nConnection: close\n\n"},
	{"less than announced", "HTTP/1.1 200 OK\nContent-Length: 4\n\nbo",
		"HTTP/1.1 200 OK\nContent-Length: 4\nDate: D\nConnection: close\n\nbo"},
	{"more than announced", "HTTP/1.1 200 OK\nContent-Length: 4\n\nbody and more",
		"HTTP/1.1 200 OK\nContent-Length: 4\nDate: D\nConnection: close\n\nbody"},
	{"another protocol", "HTTP/1.1 101 x\nUpgrade: x\nConnection: upgrade\n\n", cannotBeUsed},
	{"a NUL", "HTTP/1.1 200 OK\nServer: s\nX: a\x00b\n\n", cannotBeUsed},
	{"nothing", "", nothing},
	{"70 KB of headers", "HTTP/1.1 200 OK\nServer: s\nX-Long: " + strings.Repeat("x", 70_000) + "\n\n", tooLong},
}

var anyDate = regexp.MustCompile(`\nDate: .*\n`)

// AnswerProblems says what a client wrongly sees, or does not see, of the target's answers.
func AnswerProblems(t testing.TB, c Client, target string) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var answer string
	defer Raw(t, portOf(target), func(conn net.Conn) {
		ReadHead(bufio.NewReader(conn))
		io.WriteString(conn, answer)
	})()
	for _, a := range answered {
		answer = strings.ReplaceAll(a.sent, "\n", "\r\n")
		conn, err := c.Send("GET", target, "Connection: close")
		if err != nil {
			return append(problems, err.Error())
		}
		got, err := io.ReadAll(conn)
		conn.Close()
		seen := anyDate.ReplaceAllString(strings.ReplaceAll(string(got), "\r\n", "\n"), "\nDate: D\n")
		if lines := strings.Split(seen, "\n"); err != nil || seen != a.seen {
			wrong("%s: the client got %q, %v, want %q", a.name, lines, err, strings.Split(a.seen, "\n"))
		}
	}
	// What stands behind an answer without a body, on a connection that the client would use again.
	for _, status := range []string{"204", "304"} {
		answer = "HTTP/1.1 " + status + " x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
		conn, err := c.Send("GET", target)
		if err != nil {
			return append(problems, err.Error())
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
		if err != nil || !response.Close {
			wrong("%s does not end the client's connection: %+v, %v", status, response, err)
		}
	}
	return problems
}
