package digest

import (
	"testing"
)

func TestTargetForms(t *testing.T) {
	for _, c := range []struct {
		method, target, uri string
		want                bool
	}{
		{"CONNECT", "origin.example:443", "origin.example:443", true},
		{"CONNECT", "origin.example:443", "Origin.Example:443", true},
		{"CONNECT", "[2001:db8::1]:443", "[2001:DB8::1]:443", true},
		{"CONNECT", "[2001:db8::1]:443", "[2001:0DB8:0:0::1]:443", true},
		{"CONNECT", "[2001:db8::1]:443", "[2001:db8::2]:443", false},
		{"CONNECT", "[2001:db8::1]:443", "[2001:db8::1]:80", false},
		{"CONNECT", "93.184.215.14:443", "[::ffff:93.184.215.14]:443", true},
		{"CONNECT", "93.184.215.14:443", "[::ffff:93.184.215.15]:443", false},
		{"CONNECT", "origin.example:443", "origin.example.:443", true},
		{"CONNECT", "origin.example:443", "origin.example.:80", false},
		{"CONNECT", "origin.example:443", ".:443", false},
		{"GET", "http://origin.example/a", "http://origin.example./a", true},
		{"GET", "http://origin.example/a", "http://origin.example.:8080/a", false},
		{"CONNECT", "origin.example:443", "origin.example:8443", false},
		{"CONNECT", "origin.example:443", "other.example:443", false},
		{"CONNECT", "origin.example:443", "origin.example", false},
		{"CONNECT", "origin.example:443", "/", false},
		{"CONNECT", "origin.example:443", "https://origin.example/", false},

		{"GET", "http://origin.example/", "/", true},
		{"GET", "http://origin.example/a/b?c=d&e", "/a/b?c=d&e", true},
		{"GET", "http://origin.example/a%2Fb", "/a%2Fb", true},
		{"GET", "http://origin.example//a", "//a", true},
		{"GET", "http://origin.example/a", "/A", false},
		{"GET", "http://origin.example/a%2Fb", "/a/b", false},
		{"GET", "http://origin.example/a/b", "/a%2Fb", false},
		{"GET", "http://origin.example/a%2fb", "/a%2Fb", false},
		{"GET", "http://origin.example/ab", "/a", false},
		{"GET", "http://origin.example/a", "/ab", false},
		{"GET", "http://origin.example/a?b", "/a", false},
		{"GET", "http://origin.example/a", "a", false},
		{"GET", "http://origin.example/a", "", false},
		{"GET", "http://origin.example/", "*", false},
		{"GET", "http://origin.example/", "origin.example:80", false},

		{"GET", "http://origin.example/a?b", "http://origin.example/a?b", true},
		{"GET", "http://origin.example/a?b", "HTTP://ORIGIN.example:80/a?b", true},
		{"GET", "http://origin.example/a?b", "http://user:pass@origin.example/a?b", true},
		{"GET", "http://origin.example/", "http://origin.example", true},
		{"GET", "http://origin.example/?b", "http://origin.example?b", true},
		{"GET", "http://origin.example:8080/", "http://origin.example:8080/", true},
		{"GET", "http://[2001:db8::80]/", "http://[2001:db8::80]:80/", true},
		{"GET", "https://origin.example/", "https://origin.example:443/", true},
		{"GET", "ftp://origin.example/f", "ftp://origin.example:21/f", true},
		{"GET", "http://origin.example/a", "http://origin.example/b", false},
		{"GET", "http://origin.example/a", "http://other.example/a", false},
		{"GET", "http://origin.example/a", "http://origin.example@other.example/a", false},
		{"GET", "http://origin.example/a", "http://origin.example:8080/a", false},
		{"GET", "http://origin.example:8080/a", "http://origin.example/a", false},
		{"GET", "https://origin.example/a", "http://origin.example/a", false},
		{"GET", "http://origin.example/a", "http:///a", false},
		{"GET", "http://origin.example/a", "://origin.example/a", false},
		{"GET", "http://origin.example/a", "http://origin.example", false},

		{"GET", "http://origin.example/|\"\xff", "/|\"\xff", true},
		{"GET", "http://origin.example/%7C", "/|", false},

		{"GET", "origin.example/", "/", false}, // not what Squid writes
		{"GET", "", "/", false},
		{"GET", "http://origin.example", "http://origin.example", false},
	} {
		var asked target
		asked.set([]byte(c.method), []byte(c.target))
		if got := asked.namedBy([]byte(c.uri)); got != c.want {
			t.Errorf("%s %s with uri %q: %v", c.method, c.target, c.uri, got)
		}
	}
}
