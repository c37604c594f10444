package integration

import (
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
			if response, err := send(who, bytes+"\r\n"); err == nil {
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
