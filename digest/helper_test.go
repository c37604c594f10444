package digest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
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
		header = string(r.Header)
	}
	return fmt.Sprintf("%d - %s %s %s %s \n", id, r.Client, r.Method, quote(string(r.Target)), header)
}

// serve gives the helper an input and returns its answers.
func serve(t testing.TB, v *Verifier, in io.Reader) []string {
	t.Helper()
	var out bytes.Buffer
	must.OK(t, Serve(t.Context(), in, &out, v))
	lines, whole := strings.CutSuffix(out.String(), "\n")
	if !whole {
		t.Fatalf("cut short: %q", lines)
	}
	return strings.Split(lines, "\n")
}

func TestHelperAnswers(t *testing.T) {
	v, _, good := newVerifier(t, func(c *config) { c.users["a b\"\\ä="] = testPassword })
	good.target, good.uri = "http://origin.example/a%20[b]", "/a%20[b]"
	odd, none, foreign := good, good, good
	odd.user = "a b\"\\ä="
	odd.rewrite = replace(`username=".*=", realm`, `username*=UTF-8''a%20b%22%5C%C3%A4%3D, realm`)
	none.rewrite = replace(".*", "")
	foreign.nonce = strings.Repeat("A", nonceText)
	onlyMD5, _, _ := newVerifier(t, func(c *config) { c.users, c.old = nil, c.users })

	challenge := func(note, algorithm, stale string) string {
		return note + `="Digest realm=\\"squidfleet\\", nonce=\\"[\w-]{36}\\", qop=\\"auth\\", ` +
			`algorithm=` + algorithm + `, charset=UTF-8` + stale + `" `
	}
	both := func(stale string) string {
		return challenge("sha256_", "SHA-256", stale) + challenge("md5_", "MD5", stale)
	}
	for _, c := range []struct {
		v          *Verifier
		line, want string
	}{
		{v, good.line(1), "1 OK user=proxy"},
		{v, odd.line(2), "2 OK user=a%20b%22%5C%C3%A4%3D"},
		{v, none.line(3), "3 ERR " + both("") + "log=no-credentials"},
		{v, good.wrong().line(4), "4 ERR " + both("") + "log=wrong-password"},
		{v, foreign.line(5), "5 ERR " + both(", stale=true") + "log=nonce-foreign"},
		{v, strings.ReplaceAll(good.line(6), "\n", "\r\n"), "6 OK user=proxy"},
		{onlyMD5, none.line(7), "7 ERR " + challenge("md5_", "MD5", "") + "log=no-credentials"},
	} {
		got := serve(t, c.v, strings.NewReader(c.line))
		if len(got) != 1 || !regexp.MustCompile("^"+c.want+"$").MatchString(got[0]) {
			t.Errorf("%q, want %s", got, c.want)
		}
	}
}

// All answers that can be under way at a time fit into one of Squid's reads.
func TestAnswersFitIntoOneRead(t *testing.T) {
	const read = 32<<10 - 1
	realm, name := strings.Repeat("r", 64), strings.Repeat("é", maxUserName/2) // squid.CheckRealm allows no more
	v, clock, a := newVerifier(t, func(c *config) {
		c.realm, c.users = realm, map[string]string{name: testPassword}
	})
	a.realm, a.user = realm, name
	longest := 0
	h := &helper{v: v}
	for range 2 { // accepted, then stale
		v.basic = true // also offered: the longest answer
		h.result = v.Verify(a.request())
		if h.result.Reason != Accepted {
			h.result.Reason = Reason(strings.Repeat("x", 30)) // longer than any
		}
		longest = max(longest, len(h.appendAnswer(nil, []byte(strings.Repeat("9", 20)))))
		clock.advance(nonceLife + time.Second)
	}
	if !h.result.Stale || longest*Concurrency > read {
		t.Errorf("%d answers of %d bytes, stale %v, do not fit into %d", Concurrency, longest, h.result.Stale, read)
	}
}

func TestHelperGoesOnAfterMalformedLines(t *testing.T) {
	v, _, good := newVerifier(t, nil)
	var in, want strings.Builder
	for _, line := range []string{
		"", " ", "-", "x", "-1 - 198.51.100.7 GET http://o/ -", "1", "1x - 198.51.100.7 GET http://o/ -",
		"99999999999999999999999 - 198.51.100.7 GET http://o/ -",
	} {
		in.WriteString(line + "\n")
		want.WriteString("BH message=\"no channel id: concurrency= is needed\"\n")
	}
	for i, fields := range []string{
		"", "-", "- 198.51.100.7", "- 198.51.100.7 GET", "- 198.51.100.7 GET http://o/",
		"- 198.51.100.7 GET http://o/ ", "- 198.51.100.7 GET http://o/  ",
		"x 198.51.100.7 GET http://o/ -", "198.51.100.7 GET http://o/ -",
		"- - GET http://o/ -", "- host GET http://o/ -",
		"- 198.51.100.256 GET http://o/ -", "- 198.51.100 GET http://o/ -",
		"- 198.51.100.7. GET http://o/ -", "- 1981.51.100.7 GET http://o/ -",
		"- 198.51.100.7  http://o/ -", "- 198.51.100.7 G(T http://o/ -", "- 198.51.100.7 GET  -",
		"- 198.51.100.7 GET http://o/% -", "- 198.51.100.7 GET http://o/%4 -", "- 198.51.100.7 GET http://o/%zz -",
		`- 198.51.100.7 GET http://o/\ -`, `- 198.51.100.7 GET http://o/\x -`,
	} {
		fmt.Fprintf(&in, "%d %s\n", 100+i, fields)
		fmt.Fprintf(&want, "%d ERR log=line-malformed\n", 100+i)
	}
	want.WriteString("7 OK user=proxy")
	if got := strings.Join(serve(t, v, strings.NewReader(in.String()+good.line(7))), "\n"); got != want.String() {
		t.Errorf("got:\n%s\nwant:\n%s", got, want.String())
	}
}

func TestHelperRefusesLinesThatAreTooLong(t *testing.T) {
	v, _, good := newVerifier(t, nil)
	for _, size := range []int{lineMax - 1, lineMax, lineMax + 1, 3*lineMax + 17} {
		long := "8 - 198.51.100.7 GET http://o/ "
		long += strings.Repeat("x", size-len(long)) + "\n"
		want := " ERR log=line-too-long"
		if size < lineMax {
			want = " log=header-too-long"
		}
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"whole":        func(r io.Reader) io.Reader { return r },
			"in halves":    iotest.HalfReader,
			"byte by byte": iotest.OneByteReader,
		} {
			got := serve(t, v, reader(strings.NewReader(good.line(7)+long+good.line(9))))
			if len(got) != 3 || got[0] != "7 OK user=proxy" || got[2] != "9 OK user=proxy" ||
				!strings.HasPrefix(got[1], "8 ") || !strings.HasSuffix(got[1], want) {
				t.Errorf("%d %s: %q", size, name, got)
			}
		}
	}
}

// recorder counts writes, each of which costs Squid a read.
type recorder struct {
	rig.Buffer
	writes atomic.Int32
}

func (w *recorder) Write(b []byte) (int, error) {
	w.writes.Add(1)
	return w.Buffer.Write(b)
}

func TestHelperAnswersABatchWithOneWrite(t *testing.T) {
	v, _, good := newVerifier(t, nil)
	var in strings.Builder
	for id := range 100 {
		in.WriteString(good.line(id))
	}
	var out recorder
	must.OK(t, Serve(t.Context(), strings.NewReader(in.String()), &out, v))
	if n := strings.Count(out.String(), " OK user=proxy\n"); n != 100 || out.writes.Load() > 2 {
		t.Errorf("%d answers in %d writes", n, out.writes.Load())
	}
}

// A delayed answer holds nobody else up, and comes when it is due.
func TestHelperDelaysWithoutHoldingOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _, a := newVerifier(t, func(c *config) { c.now = time.Now })
		wrong, other := a.wrong(), a
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
		other.client = testClient.Next()
		other.nonce = nonceFor(t, v, other.client)
		ask(other, 60)
		expect(0, "60 OK user=proxy")
		expect(time.Second, "50 ERR .* log=wrong-password")
		ask(other, 61)
		expect(time.Second, "61 OK user=proxy")
		expect(2*time.Second, "51 ERR .* log=wrong-password")

		ask(wrong, 70) // is dropped at the end
		squid.Close()
		must.OK(t, <-done)
		time.AfterFunc(2*GuessDelay, func() { out.Close() })
		if line, err := read.ReadString('\n'); err != io.EOF {
			t.Errorf("after the end: %q, %v", line, err)
		}
	})
}

func TestHelperBoundsWhatItHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _, a := newVerifier(t, func(c *config) { c.now = time.Now })
		a = a.wrong()
		var in strings.Builder
		id, addresses := 0, 100
		for range addresses { // each has a few answers delayed
			a.client = a.client.Next()
			a.nonce = nonceFor(t, v, a.client)
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
		must.OK(t, <-done)
	})
}

func TestHelperEnds(t *testing.T) {
	v, _, good := newVerifier(t, nil)
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
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"passwords": passwordFile(testRealm, map[string]string{"proxy": testPassword}, MD5), "keys": testKey + "\n",
		"short": "short", "empty": "",
	} {
		must.OK(t, os.WriteFile(name, []byte(content), 0o600))
	}
	const in = "1 - 198.51.100.7 GET http://origin.example/ - \n"
	for _, c := range []struct {
		args   string
		code   int
		stderr string
	}{
		{"-passwords passwords -keys keys", 0, ""},
		{"-passwords passwords -basic", 0, ""},
		{"-passwords passwords -keys keys -basic -share socket", 0, ""},
		{"-from socket", 0, ""}, // whose helper still answers there
		{"-from socket -basic", 2, "-from: goes with no other flag"},
		{"-passwords passwords -basic -share none/socket", 1, "no such file"},
		{"-basic", 2, "-passwords: a file is needed"},
		{"-passwords passwords", 2, "-keys: a file is needed, or -basic"},
		{"-keys keys", 2, "-passwords: a file is needed"},
		{"-passwords passwords -keys keys x", 2, `"x": there are no arguments`},
		{"-x", 2, "-x"},
		{"-passwords passwords -keys none", 1, "no such file"},
		{"-passwords passwords -keys short", 1, "short: keys[0]: 5"},
		{"-passwords passwords -keys empty", 1, "empty: keys: 0 given"},
		{"-passwords none -keys keys", 1, "no such file"},
		{"-passwords keys -keys keys", 1, "keys: line 1: 1 fields"},
	} {
		var stdout, stderr bytes.Buffer
		code := Command(t.Context(), strings.Fields(c.args), strings.NewReader(in), &stdout, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%s: code %d, %s", c.args, code, stderr.String())
		}
		if (code == 0) != strings.HasSuffix(stdout.String(), "log=no-credentials\n") || code != 0 && stdout.Len() > 0 {
			t.Errorf("%s: %q", c.args, stdout.String())
		}
		if strings.Contains(stderr.String(), testKey) {
			t.Errorf("%s: shows the key", c.args)
		}
	}
}
