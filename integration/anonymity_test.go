package integration

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"squidfleet/internal/rig"
)

// exposure is what a client sends beyond Host, and what the destination gets: Host (in Squid 5.7
// behind the client's headers, in 6 before them), those headers in order, and what comes behind.
type exposure struct {
	name         string
	method       string
	sent         []string
	got          []string
	behind       []string
	host, target string // the client's Host header and its target, if they are not the usual ones
}

// tracks are headers in which one that is not hidden would tell of a client or a proxy before
// this one.
var tracks = strings.Split(`Via: 1.1 office|X-Forwarded-For: 9.9.9.9|Forwarded: for=9.9.9.9|Max-Forwards: 3|`+
	`Proxy: http://evil.example|Proxy-Connection: keep-alive|Proxy-Authenticate: Basic|`+
	`Proxy-Authentication-Info: x|Proxy-Features: x|Proxy-Instruction: x|Proxy-Status: x|Proxy-Support: x|`+
	`X-Forwarded: for=9.9.9.9|X-Forwarded-By: 9.9.9.9|X-Forwarded-Host: x|X-Forwarded-Port: 1|`+
	`X-Forwarded-Proto: https|X-Forwarded-Scheme: https|X-Forwarded-Server: x|X-Forwarded-Ssl: on|`+
	`X-Original-Forwarded-For: 9.9.9.9|Forwarded-For: 9.9.9.9|X-Real-IP: 9.9.9.9|X-Client-IP: 9.9.9.9|`+
	`Client-IP: 9.9.9.9|True-Client-IP: 9.9.9.9|X-Cluster-Client-IP: 9.9.9.9|X-Originating-IP: 9.9.9.9|`+
	`X-Remote-IP: 9.9.9.9|X-Remote-Addr: 9.9.9.9|CF-Connecting-IP: 9.9.9.9|Fastly-Client-IP: 9.9.9.9|`+
	`Proxy-Client-IP: 9.9.9.9|WL-Proxy-Client-IP: 9.9.9.9|x-proxyuser-ip: 9.9.9.9|X-BlueCoat-Via: x|`+
	`Surrogate-Capability: x="Surrogate/1.0"|Keep-Alive: 300|TE: trailers|Upgrade: h2c|Trailer: x`, "|")

var meant = []string{"Cookie: a=b", "Authorization: Basic eA==", "Referer: http://x.example/", "DNT: 1",
	"x-Custom-CASE: Value", "If-None-Match: \"x\"", "Range: bytes=0-1"}

var exposures = []exposure{
	{name: "nothing"},
	{name: "curl", sent: []string{"User-Agent: curl/8.0", "Accept: */*", "Proxy-Connection: Keep-Alive"},
		got: []string{"User-Agent: curl/8.0", "Accept: */*"}},
	{name: "what names the client or another proxy", sent: append(slices.Clone(tracks), "Accept-Language: de"),
		got: []string{"Accept-Language: de"}},
	{name: "what the client means to send", sent: meant, got: meant},
	{name: "order, case and spaces",
		sent: []string{"zz: 1", "ACCEPT: */*", "x-lower: 1", "user-agent: x", "accept-language: de",
			"x-lower:   2  3  ", "X-Empty:"},
		got: []string{"zz: 1", "Accept: */*", "x-lower: 1", "User-Agent: x", "Accept-Language: de",
			"x-lower: 2  3", "X-Empty: "}},
	{name: "Pragma", sent: []string{"Pragma: no-cache"}, got: []string{"Pragma: no-cache"}},
	{name: "Cache-Control no-cache", sent: []string{"Cache-Control: no-cache", "Accept: */*"},
		got: []string{"Accept: */*"}, behind: []string{"Cache-Control: no-cache"}},
	{name: "Cache-Control and Pragma", sent: []string{"Cache-Control: max-age=0", "Pragma: no-cache"},
		got: []string{"Pragma: no-cache"}, behind: []string{"Cache-Control: max-age=0"}},
	moved("Cache-Control: no-store"),
	moved(`Cache-Control: no-store, private="a b", made-up=%41`),
	{name: "Cache-Control on two lines", sent: []string{"Cache-Control: no-store", "cache-control: X"},
		behind: []string{"Cache-Control: no-store, X"}},
	moved("Connection: keep-alive"),
	moved("Connection: Close"),
	{name: "Connection that names a header", sent: []string{"Connection: X-Mine", "X-Mine: 1", "DNT: 1"},
		got: []string{"DNT: 1"}},
	{name: "Connection of several parts", sent: []string{"Connection: keep-alive, X-Mine", "X-Mine: 1", "DNT: 1"},
		got: []string{"DNT: 1"}},
	{name: "OPTIONS", method: "OPTIONS", sent: []string{"Max-Forwards: 3"}, got: []string{"Max-Forwards: 2"}},
	{name: "Host in another case, with the port",
		target: "http://ORIGIN.example.:80/path?query=1", host: "ORIGIN.example.:80"},
	{name: "another Host than the target's", host: "other.example"},
}

// moved is a header that goes through, behind the others.
func moved(line string) exposure {
	return exposure{name: line, sent: []string{line}, behind: []string{line}}
}

// checkBodies says what a destination gets of requests with a body, and should not, or does not
// get.
func checkBodies(s subject) {
	var got string
	s.w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got = string(text)
	}))
	defer s.w.origins.SetHandler(http.HandlerFunc(s.w.answer))
	long := strings.Repeat("x", 200_000)
	for name, body := range map[string]struct{ header, bytes, text string }{
		"a length":    {"Content-Length: 5", "hello", "hello"},
		"chunks":      {"Transfer-Encoding: chunked", "5;extension=1\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n", "hello"},
		"long chunks": {"Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(long), long), long},
	} {
		got = ""
		headers := append(slices.Clone(tracks), "Content-Type: text/plain", body.header)
		response, err := client(s.task).Exchange("POST", "http://origin.example/form", body.bytes, headers...)
		if err != nil || response.StatusCode != 200 || got != body.text {
			s.wrong("a body with %s: the destination got %d bytes, want %d: %+v, %v",
				name, len(got), len(body.text), response, err)
			continue
		}
		// Squid gives a chunked body a length if it has the whole of it by then.
		lines := strings.Split(s.w.origins.LastHead(), "\r\n")
		slices.Sort(lines)
		length := fmt.Sprintf("Content-Length: %d", len(body.text))
		want := []string{length, "Content-Type: text/plain", "Host: origin.example", "POST /form HTTP/1.1"}
		chunked := append(slices.Clone(want[1:]), "Transfer-Encoding: chunked")
		if !slices.Equal(lines, want) && (name == "a length" || !slices.Equal(lines, chunked)) {
			s.wrong("a body with %s: the destination got %q, want %q", name, lines, want)
		}
	}
}

// checkAnonymity says what the destination, or a client of its answers, sees that it should not.
func checkAnonymity(s subject) {
	for _, e := range exposures {
		method, target, sent := cmp.Or(e.method, "GET"), cmp.Or(e.target, "http://origin.example/path?query=1"), e.sent
		if e.host != "" {
			sent = append([]string{"Host: " + e.host}, sent...)
		}
		response, err := client(s.task).Request(method, target, sent...)
		if err != nil || response.StatusCode != 200 && response.StatusCode != 206 {
			s.wrong("%s: %+v, %v", e.name, response, err)
			continue
		}
		lines := strings.Split(s.w.origins.LastHead(), "\r\n")
		request, host := []string{method + " /path?query=1 HTTP/1.1"}, []string{"Host: origin.example"}
		want := slices.Concat(request, host, e.got, e.behind)
		if !slices.Equal(lines, want) && !slices.Equal(lines, slices.Concat(request, e.got, host, e.behind)) {
			s.wrong("%s: the destination got %q, want %q", e.name, lines, want)
		}
	}
	checkBodies(s)
	rig.CheckAnswers(s.t, s.wrong, client(s.task), scratchTarget)
}
