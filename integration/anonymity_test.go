package integration

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/rig"
)

// exposures are what a client sends beyond Host, and what the destination gets of it besides the client's own Host.
var exposures = []struct {
	name      string
	sent, got []string
}{
	{"nothing", nil, nil},
	{"curl", []string{"User-Agent: curl/8.0", "Accept: */*", "Proxy-Connection: Keep-Alive"}, []string{"User-Agent: curl/8.0", "Accept: */*"}},
	{"what names the client or another proxy", []string{
		"Via: 1.1 office", "X-Forwarded-For: 9.9.9.9", "Forwarded: for=9.9.9.9", "X-Real-IP: 9.9.9.9", "Max-Forwards: 3",
		"Proxy: http://evil.example", "Proxy-Connection: keep-alive", "Proxy-Authenticate: Basic", "Proxy-Authentication-Info: x", "Proxy-Features: x", "Proxy-Instruction: x", "Proxy-Status: x", "Proxy-Support: x",
		"Keep-Alive: 300", "TE: trailers", "Accept-Language: de",
	}, []string{"Accept-Language: de"}},
	{"what the client means to send", []string{"Cookie: a=b", "Authorization: Basic eA==", "Referer: http://x.example/", "DNT: 1", "x-Custom-CASE: Value", "If-None-Match: \"x\"", "Range: bytes=0-1"},
		[]string{"Cookie: a=b", "Authorization: Basic eA==", "Referer: http://x.example/", "DNT: 1", "x-Custom-CASE: Value", "If-None-Match: \"x\"", "Range: bytes=0-1"}},
	{"Pragma", []string{"Pragma: no-cache"}, []string{"Pragma: no-cache"}},
	{"Cache-Control no-cache", []string{"Cache-Control: no-cache"}, []string{"Cache-Control: no-cache"}},
	{"Cache-Control and Pragma", []string{"Cache-Control: max-age=0", "Pragma: no-cache"}, []string{"Cache-Control: max-age=0", "Pragma: no-cache"}},
	{"Cache-Control no-store", []string{"Cache-Control: no-store"}, []string{"Cache-Control: no-store"}},
	{"Cache-Control of several parts", []string{`Cache-Control: no-store, private="a b", made-up=%41`}, []string{`Cache-Control: no-store, private="a b", made-up=%41`}},
	{"Connection: keep-alive", []string{"Connection: keep-alive"}, []string{"Connection: keep-alive"}},
	{"Connection: close", []string{"Connection: close"}, []string{"Connection: keep-alive"}}, // the proxy keeps its own connection
}

// anonymityProblems says what the destination or the client sees that it should not.
func anonymityProblems(w *world, task *rig.Task) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	c := client(task)
	for _, e := range exposures {
		response, err := c.Request("GET", "http://origin.example/path?query=1", e.sent...)
		if err != nil || response.StatusCode != 200 && response.StatusCode != 206 {
			wrong("%s: %+v, %v", e.name, response, err)
			continue
		}
		lines := strings.Split(w.origins.LastHead(), "\r\n")
		want := append([]string{"GET /path?query=1 HTTP/1.1", "Host: origin.example"}, e.got...)
		slices.Sort(want)
		slices.Sort(lines)
		if !slices.Equal(lines, want) {
			wrong("%s: the destination got %q, want %q", e.name, lines, want)
		}
	}

	// What the client sees of an answer: the destination's own headers, and none that tells of a cache or a proxy.
	for _, behindSquid := range []bool{false, true} {
		w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			for _, header := range tellTales {
				if header != "X-Squid-Error" || behindSquid {
					rw.Header().Set(header, "from the destination")
				}
			}
			rw.Header().Set("Server", "nginx")
			io.WriteString(rw, "body")
		}))
		response, err := c.Request("GET", "http://origin.example/")
		if err != nil {
			wrong("answer: %v", err)
			continue
		}
		problems = append(problems, toldIn("an answer", response)...)
		if !behindSquid && response.Header.Get("Server") != "nginx" {
			wrong("the destination's Server header is lost: %v", response.Header)
		}
	}
	w.origins.SetHandler(http.HandlerFunc(w.answer))

	// Squid's own answers.
	anonymous := c
	anonymous.User = ""
	for _, own := range []struct {
		who    rig.Client
		target string
		status int
		text   string
	}{
		{anonymous, "http://origin.example/", 407, "Proxy authentication required.\n"},
		{c, "http://10.9.8.7/", 403, "Not allowed by this proxy.\n"},
		{c, "http://garbage.example/", 502, "The destination's answer cannot be used.\n"},
		{c, "http://closing.example/", 502, "The destination's answer cannot be used.\n"},
		{c, "http://nowhere.example/", 503, "The destination cannot be reached.\n"},
		{c, "http://origin.example:81/", 503, "The destination cannot be reached.\n"},
		{c, "/", 400, "Bad request.\n"},
	} {
		response, err := own.who.Request("GET", own.target)
		if err != nil {
			wrong("%s: %v", own.target, err)
			continue
		}
		what := fmt.Sprint("the answer ", own.status)
		if response.StatusCode != own.status || response.Text != own.text {
			wrong("%s: status %d, want %d; body %q, want %q", own.target, response.StatusCode, own.status, response.Text, own.text)
		}
		if kind := response.Header.Get("Content-Type"); !strings.EqualFold(kind, "text/html;charset=utf-8") {
			wrong("%s: content type %q", what, kind)
		}
		problems = append(problems, toldIn(what, response)...)
		for _, header := range []string{"Server", "Mime-Version"} {
			if got := response.Header.Get(header); got != "" {
				wrong("%s has %s: %s", what, header, got)
			}
		}
	}
	return problems
}

var tellTales = []string{"Via", "X-Cache", "Cache-Status", "X-Squid-Error", "X-Cache-Lookup"}

func toldIn(what string, response *rig.Response) (problems []string) {
	for _, header := range tellTales {
		if got := response.Header.Get(header); got != "" {
			problems = append(problems, fmt.Sprintf("%s has %s: %s", what, header, got))
		}
	}
	var all strings.Builder
	response.Header.Write(&all)
	if text := strings.ToLower(all.String()); strings.Contains(strings.ReplaceAll(text, "squidfleet", ""), "squid") || strings.Contains(text, "proxy.invalid") {
		problems = append(problems, fmt.Sprintf("%s names Squid or its host: %s", what, text))
	}
	return problems
}

func TestNobodySeesThatThereIsAProxyOrWhoIsBehindIt(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode map[string]any) {
		w := newWorld(t)
		task := rig.StartTask(t, options(map[string]any{"httpPorts": "80,81", "digest": mode["digest"]}))
		for _, problem := range anonymityProblems(w, task) {
			t.Error(problem)
		}
	})
}
