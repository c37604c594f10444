package main

import (
	"regexp"
	"strings"
	"testing"
)

// logURL is what the log has for a URL.
func logURL(url string) string {
	if part, ok := publicPart([]byte(url)); ok {
		return string(part)
	}
	return string(withheld)
}

func TestPublicPartOfAURL(t *testing.T) {
	long := strings.Repeat("a", maxHost)
	for in, want := range map[string]string{
		"-":                             "-",
		"http://example.com":            "http://example.com",
		"https://example.com/":          "https://example.com/",
		"http://example.com:8080/a/b@c": "http://example.com:8080/a/b@c",
		"http://%5B2606:2800::1%5D/":    "http://%5B2606:2800::1%5D/",
		"http://" + long + "/":          "http://" + long + "/",
		"origin.example:443":            "origin.example:443",
		"%5B2606:2800::1%5D:443":        "%5B2606:2800::1%5D:443",

		// A query and a fragment, however escaped.
		"http://example.com?secret":          "http://example.com?",
		"http://example.com/a?":              "http://example.com/a?",
		"http://example.com/a?secret":        "http://example.com/a?",
		"http://example.com/a%23secret":      "http://example.com/a",
		"http://example.com/a%2523secret":    "http://example.com/a",
		"http://example.com/a%252523secret":  "http://example.com/a",
		"http://example.com/a%253Fsecret":    "http://example.com/a",
		"http://example.com/a%3fsecret":      "http://example.com/a",
		"http://example.com/%25%2520b%24%2?": "http://example.com/%25%2520b%24%2?",
		"http://example.com/a?b%23secret":    "http://example.com/a?",
		"http://example.com%23secret":        "http://example.com",
	} {
		if got := logURL(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	// What has user information, or is no URL. The last one's is cut before its end.
	for _, in := range append(strings.Fields(`
		http://user:secret@example.com/ http://secret@example.com/ http://user:80@example.com/
		http://user%3Asecret%40example.com/ http:///user:secret@example.com/
		http:%5C%5Cuser:secret@host%5Cpath http:user:secret@host/ http;//user:secret@host/
		HTTP://user:secret@host/ //user:secret@host/ /path?secret foo://user:secret@host/p?secret
		urn:x?secret user:secret@origin.example:443 origin.example:443/path?secret
		origin.example:443%23secret origin.example:443secret origin.example:123456 origin.example
		origin.example: http://origin.example:/ http://origin.example:secret/ http://origin.example;secret/
		http://%5Bsecret@::1%5D/ http://%5B::1/ http://user:secret@http://example.com`),
		"", "http://"+long+"a") {
		if got := logURL(in); got != "withheld" {
			t.Errorf("%q: %q is not withheld", in, got)
		}
	}
}

// logged is everything that may stand in the log for a URL.
var logged = regexp.MustCompile(`^(-|withheld|` +
	`https?://([\w.-]{1,255}|%5B[\w.:-]{1,255}%5D)(:[0-9]{1,5})?(/[^?#]*)?\??|` +
	`([\w.-]{1,255}|%5B[\w.:-]{1,255}%5D):[0-9]{1,5})$`)

// escaped is a fragment's or a query's begin in a path.
var escaped = regexp.MustCompile(`%(25)*(23|3[fF])`)

// Whatever the URL, what is logged has one of the known forms, and is the URL's own begin.
func FuzzPublicPartOfAURL(f *testing.F) {
	for _, url := range []string{"http://user:secret@host/path?query%23fragment", "http:%5C%5Ca@b%5Cc@d?",
		"http://h/a%2523b", "https://%5B::1%5D:8/?", "h:1", "//u:s@h/", "http;//u:s@h/"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		got := logURL(url)
		if !logged.MatchString(strings.ReplaceAll(got, "\n", "")) || escaped.MatchString(got) {
			t.Errorf("%q: %q", url, got)
		}
		if got != string(withheld) && !strings.HasPrefix(url, got) {
			t.Errorf("%q: %q is not its begin", url, got)
		}
	})
}
