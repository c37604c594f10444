package integration

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// Bytes that no client sends must not get anybody served or taken for another client. The test
// checks the first answer to each and the destinations reached.
func TestBytesThatNoClientSendsGetNobodyIn(t *testing.T) {
	inModes(t, modes, func(t *testing.T, m mode) {
		w := newWorld(t)
		task := startTask(t, options(m))
		// A client's own PROXY header comes after the load balancer's.
		insiders, err := rig.ProxyHeader(insider).Format()
		must.OK(t, err)
		allowed, outside := rig.ProxyHeader(insider), rig.ProxyHeader(outsider)
		const (
			headers  = "Host: origin.example\r\n"
			within   = "GET http://10.9.8.7/ HTTP/"
			version1 = "PROXY TCP4 198.51.100.7 192.0.2.80 40000 35201\r\n"
		)
		public := "GET http://origin.example/ HTTP/1.1\r\n" + headers
		for name, c := range map[string]struct {
			header  *proxyproto.Header
			bytes   string
			answers []int // versions of Squid differ
		}{
			"a second PROXY header, version 2": {outside, string(insiders) + public, []int{cutOff, 400}},
			"a second PROXY header, version 1": {outside, version1 + public, []int{cutOff, 400}},
			"a second PROXY header, allowed":   {allowed, string(insiders) + within + "1.1\r\n" + headers, []int{400}},

			"HTTP/0.9 from outside":         {outside, "GET http://origin.example/\r\n", []int{cutOff, 400}},
			"HTTP/0.9":                      {allowed, "GET http://origin.example/\r\n", []int{400, 407}},
			"HTTP/0.9, written out":         {allowed, within + "0.9\r\n" + headers, []int{400, 403, 407}},
			"HTTP/1.0":                      {allowed, within + "1.0\r\n" + headers, []int{403}},
			"HTTP/1.2":                      {allowed, within + "1.2\r\n" + headers, []int{403}},
			"HTTP/2.0":                      {allowed, within + "2.0\r\n" + headers, []int{505}},
			"HTTP/2's preface":              {allowed, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400}},
			"HTTP/2's preface from outside": {outside, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{cutOff, 400}},

			"empty lines before a request":  {allowed, "\r\n\r\n" + within + "1.1\r\n" + headers, []int{400, 403, 407}},
			"a public Host, address within": {allowed, within + "1.1\r\n" + headers, []int{403}},
			"two lines of Host": {allowed,
				within + "1.1\r\n" + headers + "Host: 10.9.8.7\r\n", []int{400, 403}},
			"a target on two lines": {allowed,
				"GET http://origin.example\r\n@10.9.8.7/ HTTP/1.1\r\n" + headers, []int{400, 407}},
		} {
			who := client(task)
			who.Header = c.header
			// Credentials, if there is a line for them, with the path as Squid and most clients write
			// it.
			bytes := c.bytes
			if strings.Contains(bytes, "Host: ") && c.header == allowed {
				line, err := client(task).Credentials("GET", "http://origin.example/")
				must.OK(t, err)
				bytes += line + "\r\n"
			}
			status := cutOff
			if response, err := rawly(who, bytes+"\r\n"); err == nil {
				status = response.StatusCode
			}
			if slices.Contains(c.answers, 407) && !task.Params.Auth.Passwords() {
				c.answers = append(c.answers, served)
			}
			if !slices.Contains(c.answers, status) {
				t.Errorf("%s: status %d, want one of %d", name, status, c.answers)
			}
		}
		for to, count := range w.origins.EverReached(t) {
			if task.Params.Auth.Passwords() || !isPublic(to) {
				t.Errorf("%s was reached %d times", to, count)
			}
		}
	})
}

// unread are requests that Squid answers before it asks the access rules: those that it cannot
// read, or of which it does not take a header. The statuses are those of Squid 5.7 and of 6.13.
var unread = map[string][]int{
	"what\r\n\r\n": {400},
	"GET / HTTP/1.1\r\nHost: origin.example\r\n\r\n":                                                {400},
	"GET http:/// HTTP/1.1\r\nHost: origin.example\r\n\r\n":                                         {400},
	"GET http://origin.example/a b HTTP/1.1\r\n\r\n":                                                {400},
	"GET foo://origin.example/ HTTP/1.1\r\n\r\n":                                                    {400},
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                              {400},
	"POST http://origin.example/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx":       {411, 400},
	"GET http://origin.example/ HTTP/1.1\r\nExpect: x\r\n\r\n":                                      {417},
	"GET http://origin.example/ HTTP/1.1\r\nX: " + strings.Repeat("x", 18<<10) + "\r\n\r\n":         {431},
	"GET http://origin.example/ HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n":                           {501},
	"OPTIONS http://origin.example/ HTTP/1.1\r\nHost: origin.example\r\nMax-Forwards: 0\r\n\r\n":    {501},
	"GET http://origin.example/ HTTP/2.0\r\n\r\n":                                                   {505},
	"GET http://origin.example/ HTTP/3.0\r\n\r\n":                                                   {505},
	"GET http://origin.example/ HTTP/1.1\r\nX: \x00\r\n\r\n":                                        {400},
	"GET http://origin.example/ HTTP/1.1\r\nX : a\r\n\r\n":                                          {400},
	"POST http://origin.example/ HTTP/1.1\r\nContent-Length: a\r\n\r\n":                             {411, 400},
	"GET http://origin.example/" + strings.Repeat("x", 9_000) + " HTTP/1.1\r\n\r\n":                 {400},
	"CONNECT origin.example:99999 HTTP/1.1\r\n\r\n":                                                 {400},
	"GET http://origin.example/ HTTP/1.1\r\n\r\n":                                                   {cutOff},
	"CONNECT origin.example:443 HTTP/1.1\r\n\r\n":                                                   {cutOff},
	"TRACE http://origin.example/ HTTP/1.1\r\nMax-Forwards: 0\r\n\r\n":                              {cutOff},
	"MADEUP ftp://origin.example/ HTTP/1.1\r\n\r\n":                                                 {501},
	"MADEUP http://origin.example/ HTTP/1.1\r\n\r\n":                                                {cutOff},
	"POST http://origin.example/ HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n":     {cutOff},
	"POST http://origin.example/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n": {cutOff},
}

// Who may not use the proxy, and a health check, gets no answer to a request that Squid can read,
// and to any other an error of one line, without a look at a name or a connection.
func TestWhatOutsidersAreAnswered(t *testing.T) {
	w := newWorld(t)
	task := startTask(t, options(nil))
	for name, header := range map[string]*proxyproto.Header{
		"outside clientCidrs": rig.ProxyHeader(outsider), "health check": rig.LocalHeader(),
	} {
		who := client(task)
		who.Header = header
		for request, want := range unread {
			answer, _ := io.ReadAll(dial(t, who, request)) // an error, where it is cut off
			status := cutOff
			if response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil); err == nil {
				status = response.StatusCode
			}
			if status != want[0] && status != want[len(want)-1] {
				t.Errorf("%s: status %d for %.80q, want %d", name, status, request, want)
			}
			_, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
			if status == cutOff && len(answer) > 0 || status != cutOff && bytes.Count(body, []byte("\n")) != 1 {
				t.Errorf("%s: %.80q is answered with %q", name, request, answer)
			}
		}
	}
	if asked := w.names.Asked(); len(asked) > 0 {
		t.Errorf("names were looked up: %v", asked)
	}
	for to, count := range w.origins.EverReached(t) {
		t.Errorf("%s was reached %d times", to, count)
	}
}
