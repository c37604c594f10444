package squid

import (
	"strings"
	"testing"
)

func TestDomains(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, entry := range []string{"example.com", ".example.com", ".com", "localhost", "a-b.example.com",
		"_dmarc.example.com", "xn--bcher-kva.example", "1.example.com", "0x7f.example", long + ".example",
		"." + long + "." + long + "." + long + "." + long[:61]} {
		if err := CheckDomain(entry); err != nil {
			t.Errorf("%s: %v", entry, err)
		}
	}
	for _, entry := range []string{"", ".", "..a", "a..b", "a.", "A.example", "-a.example", "a-.example", "a b",
		"*.a", "a/b", "a:80", "bücher.example", "a\n", "a#", "\"a\"", long + "a.example", "10.9.8.7",
		"127.1", "2130706433", "0x7f000001",
		"a.0x", ".0", "[::1]", "::1", long + "." + long + "." + long + "." + long[:62]} {
		if CheckDomain(entry) == nil {
			t.Errorf("%q is accepted", entry)
		}
	}
	for _, c := range []struct {
		outer, inner string
		want         bool
	}{
		{"example.com", "example.com", true}, {".example.com", "example.com", true},
		{".example.com", ".example.com", true}, {".example.com", "a.b.example.com", true},
		{".example.com", ".a.example.com", true}, {".com", ".example.com", true},
		{"example.com", ".example.com", false}, {"example.com", "a.example.com", false},
		{".example.com", "notexample.com", false}, {".example.com", "x-example.com", false},
		{".a.example.com", ".example.com", false}, {".example.com", "com", false},
	} {
		if got := DomainHolds(c.outer, c.inner); got != c.want {
			t.Errorf("%s holds %s: %v", c.outer, c.inner, got)
		}
	}
}
