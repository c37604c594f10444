package rig

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"squidfleet/internal/must"
)

// Answers are made-up answers of a destination: always the same for the same names, which are those
// of headers that the configuration mentions.
type Answers []string

var headerRule = regexp.MustCompile(`(?m)^re(?:quest|ply)_header_(?:access|add|replace) (\S+)`)

// AnswersFor has the names of the headers that a squid.conf has rules about.
func AnswersFor(conf string) (a Answers) {
	for _, match := range headerRule.FindAllStringSubmatch(conf, -1) {
		a = append(a, match[1])
	}
	return a
}

// asksFor is the header that holds the number of the answer that a client wants.
const asksFor = "X-Answer"

const seed = 11

// serve has the target answer with the bytes asked for, and close.
func (a Answers) serve(t testing.TB, target string) (stop func()) {
	return Raw(t, portOf(target), func(conn net.Conn) {
		reader := textproto.NewReader(bufio.NewReader(conn))
		reader.ReadLine()
		headers, _ := reader.ReadMIMEHeader()
		if n, err := strconv.Atoi(headers.Get(asksFor)); err == nil {
			bytes := a.bytes(n)
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
	credentials := map[string]string{}
	for _, method := range []string{"GET", "HEAD"} {
		var err error
		credentials[method], err = c.Credentials(method, target)
		must.OK(t, err)
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
		number := asksFor + ": " + strconv.Itoa(n)
		conn, err := c.Write(head(method, target, credentials[method], "Connection: close", number) +
			a.requestHeaders(n) + "\r\n")
		if conn == nil && !gone.Swap(true) {
			t.Errorf("%v, after these:\n", err)
			for last := max(0, n-16); last < n; last++ {
				t.Logf("answer %d: %.2000q", last, a.bytes(last))
			}
		}
		if conn != nil {
			io.Copy(io.Discard, conn)
			conn.Close()
		}
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
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	var out strings.Builder
	for range r.IntN(20) {
		fmt.Fprintf(&out, "%s: %d\r\n", a[r.IntN(len(a))], r.IntN(3))
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

// bytes is one answer.
func (a Answers) bytes(n int) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
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
	names := append(slices.Clone(commonNames), slices.Repeat(a, 1+len(commonNames)/len(a))...)
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
