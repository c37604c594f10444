package integration

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
)

const withUser = "http://user:secret@origin.example/user"

// oddURLs are those that clients and proxies write differently. The first ones are for clients
// that take any text for a URL.
var oddURLs = []string{
	`http://origin.example/a?x\y`, `http://origin.example/a\b`, `http://origin.example/"q"`,
	`http://origin.example/a?"q",b="c",d="\"`, "http://origin.example/a|b^c{d}`e`<f>?|^{}`<>",
	"http://origin.example/a%20b?c%22d%5Ce", "http://origin.example/%2f%2F%c3%BC?%7e",
	"http://origin.example//a//b", "http://origin.example/a;b?c;d", "http://origin.example/a'b,c=d(e)*f!$&+:@",
	"http://origin.example/[x]?[y]", "http://origin.example/a/../b/./c", "http://origin.example",
	"http://origin.example?", "http://origin.example?q", "http://origin.example/a#fragment",
	"http://origin.example./dot", "http://ORIGIN.Example:80/port", "http://origin.example:8080/port",
	"http://[2606:2800:21F:cb07::0]/v6", "http://[2606:2800:21f:cb07::]:8080/v6", withUser,
	"http://xn--bcher-kva.example/",
}

// urlClient is a real client that asks for URLs through a proxy as alice and tells the statuses.
type urlClient struct {
	name string
	ask  func(t *testing.T, proxy string, urls []string) (statuses []string)
	// https are URLs for this client beside oddURLs.
	https []string
	// except are the URLs that are not answered with 200, and what comes of them.
	except map[string]string
}

// lines runs a program that prints a line for each URL.
func lines(t *testing.T, urls []string, name string, arguments ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, append(arguments, urls...)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := command.Output()
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(got) != len(urls) {
		t.Fatalf("%s: %d lines for %d URLs: %v\n%s", name, len(got), len(urls), err, out)
	}
	return got
}

var urlClients = []urlClient{
	{name: "curl", https: []string{"https://origin.example/", "https://ORIGIN.example./a"}, ask: func(
		t *testing.T, proxy string, urls []string) (statuses []string) {
		options := []string{"--proxy", "http://" + proxy, "--proxy-digest", "--proxy-user", "alice:" + password,
			"--silent", "--noproxy", "", "--globoff", "--path-as-is", "--insecure", "--output", "/dev/null",
			"--write-out", `%{http_code}\n`}
		for _, url := range urls { // Each with its own challenge.
			statuses = append(statuses, lines(t, []string{url}, "curl", options...)...)
		}
		return statuses
	}},
	{name: "requests", except: map[string]string{
		"http://origin.example/a;b?c;d": "407", // It signs another target, /a?c;d.
	}, ask: func(t *testing.T, proxy string, urls []string) []string {
		return lines(t, urls, "/usr/bin/python3", "testdata/requests_urls.py", "http://"+proxy, "alice", password)
	}},
	{name: "Go", ask: func(t *testing.T, proxy string, urls []string) (statuses []string) {
		for _, text := range urls {
			u, err := url.Parse(text)
			must.OK(t, err)
			c := through(proxy)
			c.URI = u.RequestURI()
			// The target as net/http writes it.
			response, err := c.Request("GET", "http://"+u.Host+u.RequestURI())
			must.OK(t, err)
			statuses = append(statuses, fmt.Sprint(response.StatusCode))
		}
		return statuses
	}},
	// Its CONNECT is in integration/clients, which has certificates that it takes.
	{name: "Java", ask: func(t *testing.T, proxy string, urls []string) []string {
		host, port, err := net.SplitHostPort(proxy)
		must.OK(t, err)
		return lines(t, urls, "java", "testdata/Urls.java", host, port, "alice", password)
	}},
}

// Whatever URL a client asks for, the way in which it writes it into its credentials is understood.
func TestClientsGetThroughWithOddURLs(t *testing.T) {
	w := newWorld(t)
	w.names.Set("xn--bcher-kva.example", publicIPv4.String())
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	_, proxy := hop(t, insider, startTask(t, options(map[string]any{"httpPorts": "80,8080"})))
	for _, c := range urlClients {
		t.Run(c.name, func(t *testing.T) {
			urls := slices.Concat(oddURLs, c.https)
			for i, status := range c.ask(t, proxy, urls) {
				if want := cmp.Or(c.except[urls[i]], "200"); status != want {
					t.Errorf("%s: %s, want %s", urls[i], status, want)
				}
			}
		})
	}
}
