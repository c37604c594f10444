package rig

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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

// Ask has some clients at a time ask a task for the answers 0 to count-1 of a target. With an error
// come the numbers of the last answers before the task was gone.
func (a Answers) Ask(t testing.TB, c Client, target string, count int) (last []int, err error) {
	defer a.serve(t, target)()
	heads := map[string]string{}
	for _, method := range []string{"GET", "HEAD"} {
		head, err := c.head(method, target)
		if err != nil {
			return nil, err
		}
		heads[method] = head + "Connection: close\r\n" + asksFor + ": "
	}
	var next atomic.Int64
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			before := -1
			for {
				n := int(next.Add(1)) - 1
				if n >= count {
					return
				}
				method := "GET"
				if n%8 == 7 {
					method = "HEAD"
				}
				conn, failed := c.Dial()
				if failed != nil {
					mu.Lock()
					last, err = append(last, before), failed
					mu.Unlock()
					return
				}
				io.WriteString(conn, heads[method]+strconv.Itoa(n)+"\r\n"+a.requestHeaders(n)+"\r\n")
				io.Copy(io.Discard, conn)
				conn.Close()
				before = n
			}
		})
	}
	workers.Wait()
	return last, err
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

// Describe prints answers, to be sent again.
func (a Answers) Describe(numbers []int) string {
	var out strings.Builder
	for _, n := range numbers {
		fmt.Fprintf(&out, "seed %d, answer %d: %.2000q\n", a.Seed, n, a.Bytes(n))
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

var (
	versions    = []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.0"}
	oddVersions = []string{"HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/11", "HTTP/1.1.1", "http/1.1", "ICY", "HTTP/"}
	statuses    = []string{"200", "200", "204", "206", "302", "304", "400", "401", "407", "416", "500", "503"}
	oddStatuses = []string{"000", "99", "100", "101", "600", "999", "1000", "-1", "abc", "20", ""}
	interims    = []string{"100", "101", "102", "103", "103", "199"}
	reasons     = []string{" OK", " OK", " OK", "", " ", " \x00", "  two  words", " " + strings.Repeat("long ", 100)}
	values      = []string{"x", "x", "", " ", ",", ",,", "close", "keep-alive", "Server, X-Squid-Error, Via", "upgrade",
		"h2c", "0", "-1", "99999999999999999999", "Thu, 01 Jan 1970 00:00:00 GMT", "NTLM", "Negotiate x", "Basic",
		"Digest realm=\"squidfleet\", nonce=\"x\"", "*", "no-cache, private=\"a", "max-age=-1", "bytes 0-1/2",
		"bytes */-1", "Accept, User-Agent, *", "max-age=1;x=\"", "a\r\n folded", "\xff\xfe", "\"", "http://[::1", "/",
		"text/html;charset=", strings.Repeat("v", 2000)}
	// Squid refuses most answers with one of the odd ones.
	oddValues = []string{"a\x00b", "a\rb", "a\n", "x\r\nno colon", "x\r\n: no name", "x\r\nA b: space in a name"}
	framings  = []string{"Content-Length: %[1]d", "Content-Length: %[1]d", "", "Content-Length: 0",
		"Content-Length: 999999", "Content-Length: %[1]d\r\nContent-Length: %[1]d"}
	oddFramings = []string{"Content-Length: %[1]d\r\nContent-Length: 1", "Content-Length: -1", "Content-Length: +%[1]d",
		"Content-Length: %[1]d, %[1]d", "Content-Length: 9223372036854775807", "Content-Length: 18446744073709551616",
		"Content-Length:", "Content-Length: %[1]d x", "Content-Length : %[1]d"}
	chunkings    = []string{"Transfer-Encoding: chunked", "transfer-encoding:  CHUNKED "}
	oddChunkings = []string{"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked",
		"Transfer-Encoding: identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: x", "Transfer-Encoding:", "Transfer-Encoding: chunked\r\nContent-Length: 3",
		"Content-Length: 3\r\nTransfer-Encoding: chunked"}
	chunks = []string{
		"%[1]x\r\n%[2]s\r\n0\r\n\r\n", "%[1]x\r\n%[2]s\r\n0\r\n\r\n", "%[1]x \r\n%[2]s\r\n0\r\n\r\n",
		"%[1]x;a=b\r\n%[2]s\r\n0;c\r\nX-Squid-Error: x\r\nVia: x\r\n\r\n", "-1\r\n%[2]s", "\r\n%[2]s",
		"0x%[1]x\r\n%[2]s\r\n0\r\n\r\n", "ffffffffffffffffff\r\n%[2]s", "7fffffffffffffff\r\n%[2]s", "%[1]x\r\n%[2]s",
		"%[1]x\r\n%[2]sX\r\n0\r\n\r\n", "%[1]x\n%[2]s\n0\n\n", "0\r\n\r\n%[2]s", "%[1]x;a=\"\\\r\n%[2]s\r\n0\r\n\r\n",
	}
)

// Bytes is one answer.
func (a Answers) Bytes(n int) []byte {
	r := rand.New(rand.NewPCG(a.Seed, uint64(n)))
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	mostly := func(from, odd []string, one int) string {
		if r.IntN(one) == 0 {
			return pick(odd)
		}
		return pick(from)
	}
	noise := func(most int) string {
		out := make([]byte, r.IntN(most))
		for i := range out {
			out[i] = byte(r.Uint32())
		}
		return string(out)
	}
	var out strings.Builder
	headers := func(most int) {
		for range r.IntN(most) {
			name := pick(commonNames)
			if r.IntN(2) == 0 {
				name = pick(a.Names)
			}
			switch r.IntN(100) {
			case 0:
				name = strings.ToLower(name)
			case 1:
				name += " "
			case 2:
				name = noise(20)
			}
			out.WriteString(name + ": " + mostly(values, oddValues, 100) + "\r\n")
		}
	}
	for r.IntN(4) == 0 {
		out.WriteString("HTTP/1.1 " + pick(interims) + pick(reasons) + "\r\n")
		headers(6)
		out.WriteString("\r\n")
	}
	switch r.IntN(20) {
	case 0:
		out.WriteString(noise(3000))
	case 1: // nothing, or an interim answer alone
	default:
		version, status := mostly(versions, oddVersions, 10), mostly(statuses, oddStatuses, 10)
		out.WriteString(version + " " + status + pick(reasons) + "\r\n")
		headers(12)
		if r.IntN(20) == 0 {
			for range r.IntN(80) {
				out.WriteString("X-Long: " + strings.Repeat("x", 1000) + "\r\n")
			}
		}
		body := strings.Repeat("b", r.IntN(2000))
		framing := ""
		if r.IntN(3) == 0 {
			framing, body = mostly(chunkings, oddChunkings, 3), fmt.Sprintf(pick(chunks), len(body), body)
		} else if framing = mostly(framings, oddFramings, 5); strings.Contains(framing, "%") {
			framing = fmt.Sprintf(framing, len(body))
		}
		if framing != "" {
			out.WriteString(framing + "\r\n")
		}
		headers(3)
		out.WriteString("\r\n" + body)
	}
	text := out.String()
	if r.IntN(8) == 0 {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	if r.IntN(10) == 0 {
		text = text[:r.IntN(len(text)+1)]
	}
	return []byte(text)
}
