package integration

import (
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// Basic credentials as clients write them, and as nobody should, as far as Squid has a part in
// them.
func TestBasicCredentials(t *testing.T) {
	inModes(t, []mode{newMode("basic", "fleet"), newMode("any", "fleet")}, func(t *testing.T, m mode) {
		w := newWorld(t)
		o := options(m)
		const odd = `p:%41"\ ä€:`
		o.Passwords["bob"] = odd
		task := startTask(t, o)
		right, wrong := rig.Basic("alice", password), rig.Basic("alice", "wrong")
		digest, err := digested(task, client(task)).Credentials("GET", "http://origin.example/")
		must.OK(t, err)
		digest = strings.TrimPrefix(digest, "Proxy-Authorization: ")
		for name, c := range map[string]struct {
			credentials []string
			status      int
		}{
			"right":                          {[]string{right}, served},
			"remembered":                     {[]string{right}, served},
			"several spaces":                 {[]string{"Basic   " + right[6:] + " "}, served},
			"colons, quotes and UTF-8":       {[]string{rig.Basic("bob", odd)}, served},
			"wrong":                          {[]string{wrong}, 407},
			"a list":                         {[]string{right + ", " + right}, 407},
			"folded":                         {[]string{"Basic\r\n " + right[6:]}, served},
			"right, then wrong":              {[]string{right, wrong}, served},
			"wrong, then right":              {[]string{wrong, right}, 407},
			"nothing, then right":            {[]string{"", right}, 407},
			"another scheme, then right":     {[]string{"Bearer x", right}, 407},
			"right, then Digest":             {[]string{right, digest}, served},
			"wrong, then Digest":             {[]string{wrong, digest}, 407},
			"wrong beside the destination's": {[]string{wrong + "\r\nAuthorization: " + right}, 407},
		} {
			who := anonymous(task)
			who.Header = elsewhere()
			var lines []string
			for _, value := range c.credentials {
				lines = append(lines, "Proxy-Authorization: "+value)
			}
			w.origins.Forget()
			if got := code(who.Request("GET", "http://origin.example/", lines...)); got != c.status {
				t.Errorf("%s: %d, want %d", name, got, c.status)
			}
			if reached := len(w.origins.Reached()); (reached > 0) != (c.status == served) {
				t.Errorf("%s: %d destinations were reached", name, reached)
			}
			if c.status == served && strings.Contains(w.origins.LastHead(), "Proxy-Authorization") {
				t.Errorf("%s: the destination gets %q", name, w.origins.LastHead())
			}
		}
	})
}
