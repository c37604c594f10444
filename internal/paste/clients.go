package paste

import (
	"fmt"
	"strings"

	"squidfleet/docs/clients"
	"squidfleet/squid"
)

// mostUsed are the most used clients besides curl, with their files in docs/clients. What is
// printed of a file is its lines about the proxy, whose URL is in the variable PROXY.
var mostUsed = []struct{ name, file, digest string }{
	{"Python, requests", "get-requests.py", "get-requests-digest.py"},
	{"Node.js, fetch of undici", "get-undici.mjs", "get-undici-digest.mjs"},
	{"Go, net/http", "nethttp/main.go", "nethttp-digest/main.go"},
	{"Playwright", "get-playwright.mjs", "get-playwright.mjs"},
}

// Variables are those that programs take a proxy's URL from.
var Variables = []string{"PROXY", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"}

// Clients is how the most used clients besides curl are told the proxy, a line each.
func (w Way) Clients() (lines []string) {
	for _, c := range mostUsed {
		if w.Auth == squid.AuthDigest && c.file != c.digest {
			lines = append(lines, fmt.Sprintf("%s: docs/clients/%s, or squidfleet relay", c.name, c.digest))
			continue
		}
		lines = append(lines, c.name+":")
		for _, line := range aboutProxy(c.file) {
			lines = append(lines, "    "+line)
		}
	}
	if w.Auth == squid.AuthDigest {
		return append(lines, "others: squidfleet relay, unless docs/use.md says that they know Digest")
	}
	return append(lines, "others: docs/use.md, which says what each of them can do")
}

// aboutProxy returns the lines of a file that are about the proxy, without comments.
func aboutProxy(file string) (lines []string) {
	text, err := clients.Files.ReadFile(file)
	if err != nil {
		panic(err) // The name is a mistake in this file.
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "//") && strings.Contains(strings.ToLower(line), "proxy") {
			lines = append(lines, line)
		}
	}
	return lines
}
