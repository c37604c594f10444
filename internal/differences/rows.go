// Package differences holds what the proxy makes of plain requests that is not so directly: rows of
// a sentence for users and an exchange that a test repeats on a real Squid.
package differences

import "strings"

// A Row is one exchange: a client's request and the bytes that the destination answers with.
type Row struct {
	// What names the case, Through says in Markdown what the proxy makes of it with the image's Squid.
	What, Through string
	// Old says what differs with Squid 5; empty where nothing does.
	Old string

	// Method, GET if empty, and Target, a path, make the request line. Headers are lines.
	Method, Target string
	Headers        []string
	Body           string
	// Waits has the client send its body when it has got an interim answer.
	Waits bool
	// HalfCloses has the client end its half behind the request; the destination waits for that.
	HalfCloses bool

	// Interim is what the destination sends after the head, Answer, usual if empty, after the body.
	// With Silent it closes instead.
	Interim, Answer string
	Silent          bool

	// Shown and Sent begin the lines that count, of the answer as the client gets it and of the
	// request as the destination gets it. Case does not matter; statuses and the body always count.
	Shown, Sent []string

	// Direct, hello if empty, is what comes of it directly, see outcome. Tunnel is that of a tunnel
	// and Image that of the image's Squid where they are not Direct, Squid5 that of Squid 5 where it
	// is not Image.
	Direct, Tunnel, Image, Squid5 string
}

const (
	ok       = "HTTP/1.1 200 OK\r\n"
	usual    = ok + length + "\r\nhello"
	length   = "Content-Length: 5\r\n"
	chunked  = "7\r\npayload\r\n0\r\n\r\n"
	hello    = `200 "hello"`
	refusal  = " of the proxy"
	longPath = 8192 - len("http://"+host)
)

// Rows are the differences that are known, and what might be taken for one.
var Rows = []Row{
	// Requests.
	{What: "WebDAV; all methods but GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS", Through: "403",
		Method: "PROPFIND", Image: "403" + refusal},
	{What: "TRACE", Through: "403: the answer would show the client's headers", Method: "TRACE",
		Image: "403" + refusal},
	{
		What:    "`ws://`, `Upgrade: websocket`",
		Through: "the destination does not see `Upgrade`. Use CONNECT, as browsers do",
		Headers: []string{"Connection: Upgrade", "Upgrade: websocket"}, Sent: []string{"Upgrade"},
		Direct: hello + ", sent Upgrade: websocket", Image: hello,
	},
	{
		What:    "HTTP/2 without TLS, `Upgrade: h2c`",
		Through: "the destination does not see `Upgrade` and `HTTP2-Settings`",
		Headers: []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"},
		Sent:    []string{"Upgrade", "HTTP2"},
		Direct:  hello + ", sent Upgrade: h2c, sent HTTP2-Settings: AAMAAABk", Image: hello,
	},
	{
		What:    "a URL of 8,192 bytes or more, `http://` included",
		Through: "400, or 431: Digest credentials repeat the path",
		Target:  "/" + strings.Repeat("a", longPath-1), Image: "400" + refusal,
	},
	{What: "a URL of 8,191 bytes", Target: "/" + strings.Repeat("a", longPath-2)},
	{
		What:    "headers of a request over 17 KB, credentials included",
		Through: "431",
		Headers: []string{"Cookie: " + strings.Repeat("a", 17<<10)}, Image: "431" + refusal,
	},
	{What: "white space in a URL", Through: "400", Target: "/a b", Image: "400" + refusal},
	{
		What:   "escapes, dot segments, double slashes and fragments in a URL",
		Target: "/a/./b//../%7e%2F%41?%7e?#f", Sent: []string{"GET"},
		Direct: hello + ", sent GET /a/./b//../%7e%2F%41?%7e?#f HTTP/1.1",
	},
	{
		What:    "a `Host` that is not the URL's",
		Through: "replaced by the URL's",
		Headers: []string{"Host: other.example"}, Sent: []string{"Host"},
		Direct: hello + ", sent Host: other.example", Image: hello + ", sent Host: " + host,
	},
	{
		What:    "a request's header lines",
		Through: "known names get their usual case, folded lines become one",
		Old:     "`Host` comes last",
		Headers: []string{"USER-agent: a", "x-OwN:1", "x-OwN: 2\r\n 3"}, Sent: []string{"Host", "User", "X-Own", " "},
		Direct: hello + ", sent Host: " + host + ", sent USER-agent: a, sent x-OwN:1, sent x-OwN: 2, sent  3",
		Image:  hello + ", sent Host: " + host + ", sent User-Agent: a, sent x-OwN: 1, sent x-OwN: 2 3",
		Squid5: hello + ", sent User-Agent: a, sent x-OwN: 1, sent x-OwN: 2 3, sent Host: " + host,
	},
	{
		What:    "headers that are for the next hop: those that `Connection` names, `TE`, `Keep-Alive`",
		Through: "dropped",
		Headers: []string{"Connection: X-Own", "X-Own: a", "TE: trailers", "Keep-Alive: 5"},
		Sent:    []string{"X-Own", "TE", "Keep-Alive"},
		Direct:  hello + ", sent X-Own: a, sent TE: trailers, sent Keep-Alive: 5", Image: hello,
	},
	{
		What:    "GET with a body",
		Through: "passed on",
		Old:     "411",
		Headers: []string{"Content-Length: 7"}, Body: "payload", Sent: []string{"payload"},
		Direct: hello + ", sent payload", Squid5: "411" + refusal,
	},
	{
		What:   "DELETE with a body",
		Method: "DELETE", Headers: []string{"Content-Length: 7"}, Body: "payload", Sent: []string{"payload"},
		Direct: hello + ", sent payload",
	},
	{
		What:    "a chunked request body",
		Through: "a short one arrives with a `Content-Length`",
		Method:  "POST", Headers: []string{"Transfer-Encoding: chunked"}, Body: chunked,
		Sent:   []string{"Transfer-Encoding", "Content-Length", "payload"},
		Direct: hello + ", sent Transfer-Encoding: chunked, sent payload",
		Image:  hello + ", sent Content-Length: 7, sent payload",
	},
	{
		What:    "a request body with `Transfer-Encoding: gzip, chunked`",
		Through: "501",
		Method:  "POST", Headers: []string{"Transfer-Encoding: gzip, chunked"}, Body: chunked, Image: "501" + refusal,
	},
	{
		What:   "`Expect: 100-continue`",
		Method: "POST", Headers: []string{"Expect: 100-continue", "Content-Length: 7"}, Body: "payload", Waits: true,
		Interim: "HTTP/1.1 100 Continue\r\n\r\n", Sent: []string{"Expect", "payload"},
		Direct: "100 " + hello + ", sent Expect: 100-continue, sent payload",
	},
	{
		What:    "`Expect` with another value",
		Through: "417",
		Method:  "POST", Headers: []string{"Expect: a", "Content-Length: 7"}, Body: "payload", Image: "417" + refusal,
	},
	{What: "a client that closes its half and waits for the answer",
		Through: "no answer: Squid gives up, also in a tunnel", HalfCloses: true,
		Tunnel: "no answer", Image: "no answer"},

	// Answers.
	{
		What:    "a space behind a chunk's size, `6 \\r\\n`",
		Through: "200 and an empty body, or one that is cut off",
		Answer:  ok + "Transfer-Encoding: chunked\r\n\r\n6 \r\nhello!\r\n0\r\n\r\n",
		Direct:  `200 "hello!"`, Image: `200 "" cut off`,
	},
	{What: "chunk extensions, and line ends without a carriage return in headers",
		Answer: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;a=b\r\nhello\r\n0\r\n\r\n"},
	{
		What:    "a status above 599",
		Through: "502",
		Answer:  "HTTP/1.1 600 Own\r\n" + length + "\r\nhello",
		Direct:  `600 "hello"`, Image: "502" + refusal,
	},
	{
		What:   "a status that nobody knows, up to 599",
		Answer: "HTTP/1.1 599 Own\r\n" + length + "\r\nhello", Direct: `599 "hello"`,
	},
	{
		What:    "the answer's version and the words behind its status",
		Through: "`HTTP/1.1` and the usual words",
		Answer:  "HTTP/1.0 200 Own\r\n" + length + "\r\nhello", Shown: []string{"HTTP/"},
		Direct: hello + ", shown HTTP/1.0 200 Own", Image: hello + ", shown HTTP/1.1 200 OK",
	},
	{
		What:    "an answer's header lines",
		Through: "as in a request's",
		Answer:  ok + "content-TYPE: a/b\r\nx-OwN:1\r\nset-cookie: c\r\nx-OwN: 2\r\n 3\r\n" + length + "\r\nhello",
		Shown:   []string{"Content-Type", "X-Own", "Set-Cookie", " "},
		Direct:  hello + ", shown content-TYPE: a/b, shown x-OwN:1, shown set-cookie: c, shown x-OwN: 2, shown  3",
		Image:   hello + ", shown Content-Type: a/b, shown x-OwN: 1, shown Set-Cookie: c, shown x-OwN: 2 3",
	},
	{What: "64 KB or more of headers in an answer", Through: "502", Answer: withHead(64 << 10), Image: "502" + refusal},
	{What: "headers of an answer just below 64 KB", Answer: withHead(64<<10 - 1)},
	{
		What:    "an answer's header line without a colon",
		Through: "502",
		Answer:  ok + "broken\r\n" + length + "\r\nhello",
		Direct:  `bytes "HTTP/1.1 200 OK\r\nbroken\r\nContent-Length: 5\r\n\r\nhello"`, Image: "502" + refusal,
	},
	{
		What:    "two `Content-Length` that differ",
		Through: "502",
		Answer:  ok + "Content-Length: 4\r\n" + length + "\r\nhello",
		Direct:  `bytes "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhello"`,
		Image:   "502" + refusal,
	},
	{
		What:    "`Transfer-Encoding: gzip, chunked` in an answer",
		Through: "502",
		Answer:  ok + "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		Direct:  `bytes "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"`,
		Image:   "502" + refusal,
	},
	{
		What:    "an answer that does not begin with `HTTP/1.` (HTTP/0.9)",
		Through: "200 with all of it as the body",
		Answer:  "hello", Direct: `bytes "hello"`, Image: hello,
	},
	{
		What:    "`Proxy-Status` in an answer",
		Through: "dropped: it marks the proxy's own answers",
		Answer:  ok + "Proxy-Status: cdn; hit\r\n" + length + "\r\nhello", Shown: []string{"Proxy-Status"},
		Direct: hello + ", shown Proxy-Status: cdn; hit", Image: hello,
	},
	{What: "a connection that the destination closes without an answer", Through: "502", Silent: true,
		Direct: "no answer", Image: "502" + refusal},
	{
		What:   "a body that ends too early",
		Answer: ok + "Content-Length: 9\r\n\r\nhello", Direct: `200 "hello" cut off`,
	},
	{
		What:    "trailers",
		Through: "dropped, as the `Trailer` that announces them",
		Answer:  ok + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: a\r\n\r\n",
		Shown:   []string{"Trailer", "X-Sum"},
		Direct:  hello + ", shown Trailer: X-Sum, shown X-Sum: a", Image: hello,
	},
	{
		What:    "103 Early Hints and other interim answers, several of them too",
		Interim: "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
		Shown:   []string{"Link"},
		Direct:  "102 103 " + hello + ", shown Link: </a>",
	},
	{
		What:    "ranges and conditions",
		Headers: []string{"Range: bytes=0-1,3-4", `If-None-Match: "a"`},
		Answer:  "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
		Shown:   []string{"ETag"}, Sent: []string{"Range", "If-"},
		Direct: `304 "", shown ETag: "a", sent Range: bytes=0-1,3-4, sent If-None-Match: "a"`,
	},
}

// withHead is an answer whose head has the given size, with the blank line.
func withHead(size int) string {
	const head = ok + length + "X-Own: \r\n\r\n"
	return ok + length + "X-Own: " + strings.Repeat("a", size-len(head)) + "\r\n\r\nhello"
}
