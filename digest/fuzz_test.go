package digest

import (
	"bytes"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

func FuzzHeader(f *testing.F) {
	f.Add([]byte(newAttempt("nonce").header()))
	f.Add([]byte(`Digest username*=UTF-8''%41, realm="\"", a=b,, c = "d\\"`))
	f.Add([]byte(`Digest username*=UTF-8''abcdefg%`)) // 32 bytes: no capacity behind the percent sign
	f.Fuzz(func(t *testing.T, b []byte) {
		length := len(b)
		var h header
		if h.parse(b, &target{}) != Accepted {
			return
		}
		if alg, reason := h.check(string(h.realm), true); reason == Accepted && len(h.response) != alg.digits() {
			t.Errorf("%v with response %q", alg, h.response)
		}
		// What is read is in the header: escapes and encodings only shorten.
		values := [][]byte{h.username, h.realm, h.nonce, h.uri, h.response, h.algorithm, h.cnonce, h.qop, h.nc,
			h.userhash}
		if total := len(bytes.Join(values, nil)); total > length {
			t.Errorf("%d bytes out of %d", total, length)
		}
	})
}

// No reading of a header lets a response in for a target that its client did not sign: it signs one
// uri in one of two ways, anything is changed in the header, and it is sent for another target.
func FuzzNoHeaderNamesAnotherTarget(f *testing.F) {
	for _, s := range []string{`/a`, `/a\b`, `/a\\b`, `/a"b`, `/a",b="c`, `/a", uri="/b`, `/?x`, ``, `/a\`} {
		for _, other := range []string{`/b`, `/a\\b`, `/a`, `/a\b`, `/a",b="c`, `/`} {
			f.Add(s, other, true, "", 0)
			f.Add(s, other, false, `\`, 90)
		}
	}
	v, _, good := newVerifier(f, nil)
	f.Fuzz(func(t *testing.T, signed, asked string, escape bool, insert string, at int) {
		if signed != "" && signed[0] != '/' && signed[0] != '?' || asked == "" || asked[0] != '/' {
			return // It would go on with the host, or is not what Squid writes.
		}
		for _, absolute := range []string{"", "http://origin.example"} {
			v.guesses = newGuesses(guessWays) // Nobody is throttled.
			a := good
			a.uri, a.target = absolute+signed, "http://origin.example"+asked
			a.rewrite = func(header string) string {
				written := a.uri
				if escape {
					written = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(written)
				}
				header = strings.Replace(header, `uri="`+a.uri+`"`, `uri="`+written+`"`, 1)
				if at >= 0 && at <= len(header) {
					header = header[:at] + insert + header[at:]
				}
				return header
			}
			same := signed == asked
			if absolute != "" && !strings.HasPrefix(signed, "/") { // http://host, http://host?query
				same = "/"+signed == asked
			}
			if r := v.Verify(a.request()); r.Reason == Accepted && !same {
				t.Errorf("%q, signed for %q, is accepted for %q", a.header(), a.uri, a.target)
			} else if r.Reason != Accepted && same && insert == "" && !hasControl(asked) && len(asked) < 1000 {
				t.Errorf("%q is refused for what it was signed for: %v", a.header(), r.Reason)
			}
		}
	})
}

// hasControl reports whether Squid would refuse a URL with these bytes.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func FuzzLine(f *testing.F) {
	f.Add("198.51.100.7", "GET", "http://origin.example/", `Digest username="\"%[]"`)
	f.Add("2001:db8::1", "CONNECT", "[2001:db8::1]:443", "\r\n\x00\xff")
	f.Fuzz(func(t *testing.T, client, method, target, value string) {
		var r Request
		parseLine([]byte("- "+client+" "+method+" "+target+" "+value), &r) // must not panic

		// What Squid sends comes back as it was.
		addr, err := netip.ParseAddr(client)
		if err != nil || method == "" || target == "" || value == "" || value == "-" ||
			strings.Contains(target, " ") || strings.Contains(client, " ") || strings.Trim(method, tchar) != "" {
			return
		}
		if !parseLine([]byte("- "+client+" "+method+" "+quote(target)+" "+value+" "), &r) {
			t.Fatal("malformed")
		}
		if r.Client != addr || string(r.Method) != method || string(r.Target) != target || string(r.Header) != value {
			t.Errorf("%v %q %q %q", r.Client, r.Method, r.Target, r.Header)
		}
	})
}

// No input makes the helper say more than one line for a line, or anything but
// what it may say; and nothing is accepted without the password.
func FuzzHelper(f *testing.F) {
	v, _, a := newVerifier(f, func(c *config) { c.basic = true })
	f.Add([]byte(a.wrong().line(1) + "2 - 198.51.100.7 GET http://o/ -\nx\n"))
	f.Add([]byte("3 198.51.100.7 - " + basicHeader("proxy:x") + "\n4 ::1 - Basic YQ\n"))
	const challenges = `sha256_="Digest [^\n]*" md5_="Digest [^\n]*" basic_=1 `
	line := regexp.MustCompile(`^([0-9]{1,20} ERR (` + challenges + `|throttled_=1 )?` +
		`log=[a-z0-9-]+|BH message="[a-z :=]+")$`)
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		must.OK(t, Serve(t.Context(), bytes.NewReader(in), &out, v))
		if got, most := bytes.Count(out.Bytes(), []byte("\n")), bytes.Count(in, []byte("\n"))+1; got > most {
			t.Errorf("%d answers to %d lines", got, most)
		}
		for answer := range strings.Lines(out.String()) {
			if !line.MatchString(strings.TrimSuffix(answer, "\n")) {
				t.Errorf("%q", answer)
			}
		}
	})
}
