package digest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// quote is what Squid's %[ makes of a value.
func quote(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\n':
			b.WriteString(`\n`)
		case c <= 0x1f || c >= 0x7f || c == '%' || c == '[' || c == ']':
			fmt.Fprintf(&b, "%%%02x", c)
		case c == '\\':
			b.WriteString(`\\`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// line is what Squid sends for an attempt; "-" stands for no header.
func (a attempt) line(id int) string {
	r := a.request()
	header := "-"
	if len(r.Header) > 0 {
		header = quote(string(r.Header))
	}
	return fmt.Sprintf("%d - %s %s %s %s \n", id, r.Client, r.Method, quote(string(r.Target)), header)
}

// serve gives the helper an input and returns its answers by channel, and as they came.
func serve(t testing.TB, v *Verifier, in io.Reader) (map[string]string, []string) {
	t.Helper()
	var out bytes.Buffer
	if err := Serve(t.Context(), in, &out, v); err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{}
	var lines []string
	for line := range strings.Lines(out.String()) {
		line, ok := strings.CutSuffix(line, "\n")
		id, answer, _ := strings.Cut(line, " ")
		if _, twice := answers[id]; twice || !ok {
			t.Fatalf("twice, or cut short: %q", line)
		}
		answers[id] = answer
		lines = append(lines, line)
	}
	return answers, lines
}

func TestHelperAnswers(t *testing.T) {
	const name = "a b\"\\\n="
	v, _ := newVerifier(t, func(c *Config) {
		c.Users = append(c.Users, User{Name: strings.ReplaceAll(name, "\n", "ä"), Password: testPassword})
	})
	good := newAttempt(nonceFor(t, v, testClient))
	good.target, good.uri = "http://origin.example/a%20[b]", "/a%20[b]"
	odd := good
	odd.user = strings.ReplaceAll(name, "\n", "ä")
	odd.rewrite = replace(t, `username=".*=", realm`, `username*=UTF-8''a%20b%22%5C%C3%A4%3D, realm`)
	none := good
	none.rewrite = replace(t, ".*", "")
	wrong := good
	wrong.password = "wrong"
	expired := good
	expired.nonce = strings.Repeat("A", nonceText)

	answers, _ := serve(t, v, strings.NewReader(good.line(1)+odd.line(2)+none.line(3)+wrong.line(4)+expired.line(5)+
		strings.ReplaceAll(good.line(6), "\n", "\r\n")))
	refusal := func(stale, reason string) string {
		const challenge = `Digest realm=\\"squidfleet\\", nonce=\\"[\w-]{36}\\", qop=\\"auth\\", ` +
			`algorithm=%s, charset=UTF-8%s`
		return fmt.Sprintf(`ERR sha256_="`+challenge+`" md5_="`+challenge+`" log=%s`,
			"SHA-256", stale, "MD5", stale, reason)
	}
	for id, want := range map[string]string{
		"1": "OK user=proxy",
		"2": "OK user=a%20b%22%5C%C3%A4%3D",
		"3": refusal("", "no-credentials"),
		"4": refusal("", "wrong-password"),
		"5": refusal(", stale=true", "nonce-foreign"),
		"6": "OK user=proxy",
	} {
		if !regexp.MustCompile("^" + want + "$").MatchString(answers[id]) {
			t.Errorf("%s: %q, want %s", id, answers[id], want)
		}
	}
}

func TestHelperOffersWhatItCanCheck(t *testing.T) {
	v, _ := newVerifier(t, func(c *Config) { c.Users = []User{{Name: "proxy", MD5: strings.Repeat("a", 32)}} })
	answers, _ := serve(t, v, strings.NewReader("1 - 198.51.100.7 GET http://origin.example/ - \n"))
	if a := answers["1"]; strings.Contains(a, NoteSHA256) || !strings.Contains(a, NoteMD5+`="Digest `) {
		t.Error(a)
	}
}

// All answers that can be under way at a time fit into one of Squid's reads.
func TestAnswersFitIntoOneRead(t *testing.T) {
	const read = 32<<10 - 1
	realm, name := strings.Repeat("r", 128), strings.Repeat("é", maxUserName/2)
	v, clock := newVerifier(t, func(c *Config) {
		c.Realm, c.Users = realm, []User{{Name: name, Password: testPassword}}
	})
	a := newAttempt(nonceFor(t, v, testClient))
	a.realm, a.user = realm, name
	accepted := a.line(0)
	clock.advance(DefaultNonceLife + time.Second)
	longest := 0
	h := &helper{checker: v.newChecker()}
	id := []byte(strings.Repeat("9", 20))
	for _, line := range []string{accepted, a.line(0)} {
		_, fields, _ := cutChannel([]byte(strings.TrimSuffix(line, "\n")))
		if !parseLine(fields, &h.request) {
			t.Fatal(line)
		}
		h.checker.check(&h.request, &h.result)
		for reason := range reasons {
			if h.result.Reason != Accepted {
				h.result.Reason = max(reason, NoCredentials)
			}
			longest = max(longest, len(h.appendAnswer(nil, id)))
		}
	}
	if !h.result.Stale || longest*Concurrency > read {
		t.Errorf("%d answers of %d bytes, stale %v, do not fit into %d", Concurrency, longest, h.result.Stale, read)
	}
}

func TestHelperGoesOnAfterMalformedLines(t *testing.T) {
	v, _ := newVerifier(t, nil)
	good := newAttempt(nonceFor(t, v, testClient))
	malformed := []string{
		"", " ", "-", "x", "-1 - 198.51.100.7 GET http://o/ -", "1", "1x - 198.51.100.7 GET http://o/ -",
		"99999999999999999999999 - 198.51.100.7 GET http://o/ -",
	}
	var in strings.Builder
	for _, line := range malformed {
		in.WriteString(line + "\n")
	}
	fields := []string{
		"", "-", "- 198.51.100.7", "- 198.51.100.7 GET", "- 198.51.100.7 GET http://o/",
		"- 198.51.100.7 GET http://o/ ", "- 198.51.100.7 GET http://o/  ",
		"x 198.51.100.7 GET http://o/ -", "198.51.100.7 GET http://o/ -",
		"- - GET http://o/ -", "- host GET http://o/ -",
		"- 198.51.100.256 GET http://o/ -", "- 198.51.100 GET http://o/ -",
		"- 198.51.100.7. GET http://o/ -", "- 1981.51.100.7 GET http://o/ -",
		"- 198.51.100.7  http://o/ -", "- 198.51.100.7 G(T http://o/ -", "- 198.51.100.7 GET  -",
		"- 198.51.100.7 GET http://o/% -", "- 198.51.100.7 GET http://o/%4 -", "- 198.51.100.7 GET http://o/%zz -",
		`- 198.51.100.7 GET http://o/\ -`, `- 198.51.100.7 GET http://o/\x -`,
		"- 198.51.100.7 GET http://o/ %", `- 198.51.100.7 GET http://o/ \`,
	}
	for i, line := range fields {
		fmt.Fprintf(&in, "%d %s\n", 100+i, line)
	}
	in.WriteString(good.line(7))

	var out bytes.Buffer
	if err := Serve(t.Context(), strings.NewReader(in.String()), &out, v); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(malformed)+len(fields)+1 {
		t.Fatalf("%d answers", len(lines))
	}
	for i, line := range lines[:len(malformed)] {
		if line != `BH message="no channel id: concurrency= is needed"` {
			t.Errorf("%q: %s", malformed[i], line)
		}
	}
	for i, line := range lines[len(malformed) : len(lines)-1] {
		if want := fmt.Sprintf("%d ERR log=line-malformed", 100+i); line != want {
			t.Errorf("%q: %s", fields[i], line)
		}
	}
	if lines[len(lines)-1] != "7 OK user=proxy" {
		t.Error(lines[len(lines)-1])
	}
}

func TestHelperRefusesLinesThatAreTooLong(t *testing.T) {
	v, _ := newVerifier(t, nil)
	good := newAttempt(nonceFor(t, v, testClient))
	for _, size := range []int{lineMax - 1, lineMax, lineMax + 1, 3*lineMax + 17} {
		long := "8 - 198.51.100.7 GET http://o/ "
		long += strings.Repeat("x", size-len(long)) + "\n"
		for name, in := range map[string]io.Reader{
			"whole":     strings.NewReader(good.line(7) + long + good.line(9)),
			"in halves": iotest.HalfReader(strings.NewReader(good.line(7) + long + good.line(9))),
		} {
			answers, _ := serve(t, v, in)
			if answers["7"] != "OK user=proxy" || answers["9"] != "OK user=proxy" || len(answers) != 3 {
				t.Errorf("%d %s: %v", size, name, answers)
			}
			want := "ERR log=line-too-long"
			if size < lineMax {
				want = "log=header-too-long"
			}
			if !strings.HasSuffix(answers["8"], want) {
				t.Errorf("%d %s: %q", size, name, answers["8"])
			}
		}
	}
}

func TestHelperReadsByteByByte(t *testing.T) {
	v, _ := newVerifier(t, nil)
	good := newAttempt(nonceFor(t, v, testClient))
	in := good.line(7) + "8 - 198.51.100.7 GET http://o/" + strings.Repeat("x", lineMax) + "\n" + good.line(9)
	answers, _ := serve(t, v, iotest.OneByteReader(strings.NewReader(in)))
	if answers["7"] != "OK user=proxy" || answers["8"] != "ERR log=line-too-long" || answers["9"] != "OK user=proxy" {
		t.Error(answers)
	}
}

// recorder counts writes, each of which costs Squid a read.
type recorder struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	writes int
}

func (w *recorder) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	return w.buf.Write(b)
}

func (w *recorder) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func TestHelperAnswersABatchWithOneWrite(t *testing.T) {
	v, _ := newVerifier(t, nil)
	good := newAttempt(nonceFor(t, v, testClient))
	var in strings.Builder
	for id := range 100 {
		in.WriteString(good.line(id))
	}
	var out recorder
	if err := Serve(t.Context(), strings.NewReader(in.String()), &out, v); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), " OK user=proxy\n"); n != 100 || out.writes > 2 {
		t.Errorf("%d answers in %d writes", n, out.writes)
	}
}

// A delayed answer holds nobody else up, and comes when it is due.
func TestHelperDelaysWithoutHoldingOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := newVerifier(t, func(c *Config) { c.Now = time.Now })
		wrong := newAttempt(nonceFor(t, v, testClient))
		wrong.password = "wrong"
		in, squid := io.Pipe()
		answers, out := io.Pipe()
		done := make(chan error)
		go func() { done <- Serve(t.Context(), in, out, v) }()
		read := bufio.NewReader(answers)
		start := time.Now()
		expect := func(at time.Duration, want string) {
			t.Helper()
			line, err := read.ReadString('\n')
			got, form := time.Since(start), regexp.MustCompile("^"+want+"\n$")
			if err != nil || !form.MatchString(line) || got != at {
				t.Fatalf("after %v: %q, %v; want %s after %v", got, line, err, want, at)
			}
		}
		ask := func(a attempt, id int) {
			if _, err := io.WriteString(squid, a.line(id)); err != nil {
				t.Error(err)
			}
		}
		for i := range GuessBurst + 1 {
			ask(wrong, i)
			expect(0, fmt.Sprint(i, " ERR .* log=wrong-password"))
		}
		ask(wrong, 50) // has to wait a second
		ask(wrong, 51) // and two
		other := newAttempt("")
		other.client = other.client.Next()
		other.nonce = nonceFor(t, v, other.client)
		ask(other, 60)
		expect(0, "60 OK user=proxy")
		expect(time.Second, "50 ERR .* log=wrong-password")
		ask(other, 61)
		expect(time.Second, "61 OK user=proxy")
		expect(2*time.Second, "51 ERR .* log=wrong-password")

		ask(wrong, 70) // is dropped at the end
		squid.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestHelperBoundsWhatItHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := newVerifier(t, func(c *Config) { c.Now = time.Now })
		var in strings.Builder
		id, addresses := 0, 100
		a := newAttempt("")
		for range addresses { // each has a few answers delayed
			a.client = a.client.Next()
			a.nonce, a.password = nonceFor(t, v, a.client), "wrong"
			for range GuessBurst + 6 {
				in.WriteString(a.line(id))
				id++
			}
		}
		r, squid := io.Pipe()
		var out recorder
		done := make(chan error)
		go func() { done <- Serve(t.Context(), r, &out, v) }()
		io.WriteString(squid, in.String())
		synctest.Wait()
		at := strings.Count(out.String(), "\n")
		if held := id - at; held != delayedMax {
			t.Errorf("%d held back", held)
		}
		if n := strings.Count(out.String(), "ERR throttled_=1 log=throttled\n"); n != addresses*5-delayedMax {
			t.Errorf("%d throttled", n)
		}
		time.Sleep(GuessDelay + time.Second)
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != id {
			t.Errorf("%d answers to %d requests", n, id)
		}
		// Once they are sent there is room for others.
		a.client = a.client.Next()
		a.nonce = nonceFor(t, v, a.client)
		for range GuessBurst + 2 {
			io.WriteString(squid, a.line(id))
			id++
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !strings.HasSuffix(out.String(), "log=wrong-password\n") {
			t.Error("no room for another delayed answer")
		}
		squid.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestHelperEnds(t *testing.T) {
	v, _ := newVerifier(t, nil)
	good := newAttempt(nonceFor(t, v, testClient))
	broken := errors.New("broken")
	in := io.MultiReader(strings.NewReader(good.line(1)), iotest.ErrReader(broken))
	if err := Serve(t.Context(), in, io.Discard, v); err != broken {
		t.Errorf("reading: %v", err)
	}
	_, out := io.Pipe()
	out.CloseWithError(broken)
	r, w := io.Pipe()
	r.CloseWithError(broken)
	if err := Serve(t.Context(), strings.NewReader(good.line(1)), w, v); err != broken {
		t.Errorf("writing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hanging, squid := io.Pipe()
	if err := Serve(ctx, hanging, io.Discard, v); err != context.Canceled {
		t.Errorf("context: %v", err)
	}
	squid.Close()
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data := passwordFile(User{Name: "proxy", Password: testPassword})
	passwords, keys := file("passwords", string(data)), file("keys", testKey+"\n")
	odd := file("realm", "a:\":"+strings.Repeat("a", 32))
	const in = "1 - 198.51.100.7 GET http://origin.example/ - \n"
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"good":             {[]string{"-passwords", passwords, "-keys", keys}, 0, ""},
		"no key":           {[]string{"-passwords", passwords}, 2, "-keys: a file is needed"},
		"no passwords":     {[]string{"-keys", keys}, 2, "-passwords: a file is needed"},
		"more arguments":   {[]string{"-passwords", passwords, "-keys", keys, "x"}, 2, `"x": there are no arguments`},
		"unknown flag":     {[]string{"-x"}, 2, "-x"},
		"missing key":      {[]string{"-passwords", passwords, "-keys", keys + "x"}, 1, "no such file"},
		"malformed key":    {[]string{"-passwords", passwords, "-keys", file("bad", "short")}, 1, "keys[0]: 5"},
		"empty key":        {[]string{"-passwords", passwords, "-keys", file("empty", "")}, 1, "keys: 0 given"},
		"missing file":     {[]string{"-passwords", passwords + "x", "-keys", keys}, 1, "no such file"},
		"malformed file":   {[]string{"-passwords", keys, "-keys", keys}, 1, "line 1: 1 fields"},
		"unsuitable realm": {[]string{"-passwords", odd, "-keys", keys}, 1, "realm: byte 0"},
		"bad life":         {[]string{"-passwords", passwords, "-keys", keys, "-life", "0.5s"}, 1, "nonceLife:"},
	} {
		var stdout, stderr bytes.Buffer
		code := Command(t.Context(), c.args, strings.NewReader(in), &stdout, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%s: code %d, %s", name, code, stderr.String())
		}
		if (code == 0) != strings.HasSuffix(stdout.String(), "log=no-credentials\n") || code != 0 && stdout.Len() > 0 {
			t.Errorf("%s: %q", name, stdout.String())
		}
		if strings.Contains(stderr.String(), testKey) {
			t.Errorf("%s: shows the key", name)
		}
	}
}
