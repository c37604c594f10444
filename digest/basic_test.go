package digest

import (
	"encoding/base64"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
)

const oddPassword = "p:ä:ß€ :"

func basicHeader(text string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

// newBasic returns a verifier that accepts Basic, and Digest if it has keys.
func newBasic(t testing.TB, keys string) (*Verifier, *clock) {
	v, c, _ := newVerifier(t, func(c *config) {
		c.users["odd"], c.users["latin"], c.basic = oddPassword, "naïve é", true
	})
	if keys == "" {
		v.macs = nil
	}
	return v, c
}

// basicRequest is one of which the URL is not known.
func basicRequest(header string) *Request {
	return &Request{Client: testClient, Header: []byte(header)}
}

func TestBasic(t *testing.T) {
	v, clock := newBasic(t, "")
	right := basicHeader("proxy:" + testPassword)
	for header, want := range map[string]Reason{
		right:                               Accepted,
		strings.Replace(right, "B", "b", 1): Accepted,
		strings.Replace(right, "Basic", "BASIC", 1):    Accepted,
		strings.Replace(right, " ", " \t  ", 1) + "  ": Accepted,
		basicHeader("odd:" + oddPassword):              Accepted, // UTF-8, colons
		basicHeader("latin:na\xefve \xe9"):             Accepted, // ISO-8859-1
		basicHeader("latin:naïve é"):                   Accepted,
		"":                                             NoCredentials,
		"Digest username=\"proxy\"":                    NotBasic,
		"Bearer x":                                     NotBasic,
		"Basic":                                        HeaderMalformed,
		"Basic ":                                       HeaderMalformed,
		"Basic/" + right[6:] + " ":                     HeaderMalformed,
		strings.TrimRight(right, "=") + "!":            HeaderMalformed,
		strings.TrimRight(right, "="):                  HeaderMalformed,
		right + "\n":                                   HeaderMalformed,
		right[:10] + " " + right[10:]:                  HeaderMalformed,
		right + ", " + right:                           HeaderMalformed,
		basicHeader("proxy"):                           HeaderMalformed,
		basicHeader(""):                                HeaderMalformed,
		"Basic " + strings.Repeat("QUFB", maxBasic/4):  HeaderTooLong,
		basicHeader("proxy:"):                          WrongPassword,
		basicHeader("proxy:" + testPassword + " "):     WrongPassword,
		basicHeader("odd:" + strings.TrimSuffix(oddPassword, ":")):         WrongPassword,
		basicHeader("proxy:" + HA1(MD5, "proxy", testRealm, testPassword)): WrongPassword,
		basicHeader("proxy:" + testRealm + ":" + testPassword):             WrongPassword,
		basicHeader("mallory:" + testPassword):                             UnknownUser,
		basicHeader(":" + testPassword):                                    UnknownUser,
		basicHeader(" proxy:" + testPassword):                              UnknownUser,
		basicHeader("PROXY:" + testPassword):                               UnknownUser,
	} {
		clock.advance(time.Hour) // all earlier guesses are forgotten
		r := v.Verify(basicRequest(header))
		name, _, _ := strings.Cut(map[bool]string{true: r.User}[want == Accepted], " ")
		if r.Reason != want || r.User != name || r.Challenge != (want != Accepted) || r.Delay != 0 {
			t.Errorf("%q: %v, want %v: %+v", header, r.Reason, want, r)
		}
	}
}

// Where both are accepted, Basic is wherever it comes, and Digest needs the request's URL.
func TestBasicBesideDigest(t *testing.T) {
	v, _ := newBasic(t, testKey)
	a := newAttempt(nonceFor(t, v, testClient))
	a.expect(t, v, Accepted)
	r := a.request()
	r.Header = []byte(basicHeader("proxy:" + testPassword))
	if got := v.Verify(r); got.Reason != Accepted || got.User != "proxy" {
		t.Errorf("Basic with a URL: %+v", got)
	}
	if got := v.Verify(basicRequest(a.header())); got.Reason != NotBasic {
		t.Errorf("Digest without a URL: %v", got.Reason)
	}
	digestOnly, _, _ := newVerifier(t, nil)
	if got := digestOnly.Verify(basicRequest(basicHeader("proxy:" + testPassword))); got.Reason == Accepted {
		t.Error("Basic where it is not offered")
	}
}

func TestHelperAnswersBasic(t *testing.T) {
	alone, _ := newBasic(t, "")
	both, _ := newBasic(t, testKey)
	const none = " 198.51.100.7 - - \n"
	right := " 198.51.100.7 - " + basicHeader("proxy:"+testPassword) + " \n"
	for _, c := range []struct {
		v          *Verifier
		line, want string
	}{
		{alone, "1" + none, "1 ERR basic_=1 log=no-credentials"},
		{alone, "2" + right, "2 OK user=proxy"},
		{both, "3" + none, `3 ERR sha256_="Digest .*" md5_="Digest .*" basic_=1 log=no-credentials`},
		{both, "4" + right, "4 OK user=proxy"},
		{both, "5 - 198.51.100.7 GET http://o/" + right[len(" 198.51.100.7 -"):], "5 OK user=proxy"},
		{alone, "6 198.51.100.7 -\n", "6 ERR log=line-malformed"},
		{alone, "7 198.51.100.7 - \n", "7 ERR log=line-malformed"},
		{alone, "8 here - -\n", "8 ERR log=line-malformed"},
		{alone, "9 198.51.100.7 GET http://o/ -\n", "9 ERR log=line-malformed"},
		{alone, "9 other 198.51.100.7 GET http://o/ -\n", "9 ERR log=line-malformed"},
	} {
		got := serve(t, c.v, strings.NewReader(c.line))
		if len(got) != 1 || !regexp.MustCompile("^"+c.want+"$").MatchString(got[0]) {
			t.Errorf("%q: %q, want %s", c.line, got, c.want)
		}
	}
}

// wholeLines notes if something else than whole lines is written to it.
type wholeLines struct {
	strings.Builder
	parts bool
}

func (w *wholeLines) Write(b []byte) (int, error) {
	w.parts = w.parts || len(b) > 0 && b[len(b)-1] != '\n'
	return w.Builder.Write(b)
}

// The helper that hands its lines over ends when the one that answers does, so that Squid starts
// both anew. Lines go on whole.
func TestAHelperThatHandsOverEndsWithTheOther(t *testing.T) {
	t.Chdir(t.TempDir())
	listener, err := net.Listen("unix", "socket")
	must.OK(t, err)
	defer listener.Close()
	in, squid := io.Pipe()
	defer squid.Close()
	go io.WriteString(squid, "1 basic")
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		asked := make([]byte, len("1 basic"))
		io.ReadFull(conn, asked)
		for _, part := range []string{"1 OK asked=", string(asked) + "\n2 ERR", " log=x\n3 O"} {
			io.WriteString(conn, part)
			time.Sleep(time.Millisecond)
		}
	}()
	var out wholeLines
	err = handOver("socket", in, &out)
	if err == nil || !strings.Contains(err.Error(), "socket: the other helper ended") {
		t.Errorf("%v", err)
	}
	if out.parts || out.String() != "1 OK asked=1 basic\n2 ERR log=x\n" {
		t.Errorf("in parts: %v, %q", out.parts, out.String())
	}
}
