package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/operator"
	"squidfleet/internal/rig"
)

// entry is a line of the log, as the operator's command reads it.
type entry = operator.Line

// parse reads a line as strictly as JSON can be read: valid UTF-8, no unknown member, none missing,
// nothing behind the object.
func parse(line string) (entry, error) {
	var e entry
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return e, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return e, fmt.Errorf("something behind the object: %v", err)
	}
	if bytes.ContainsFunc([]byte(line), func(r rune) bool { return r < ' ' || r > '~' }) {
		return e, fmt.Errorf("a byte that is not printable ASCII")
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(line), &members); err != nil {
		return e, err
	}
	// encoding/json takes the last of two members of one name.
	if strings.Count(line, `":`) < len(members) || len(members) != 16 {
		return e, fmt.Errorf("%d members", len(members))
	}
	return e, nil
}

// checkLog looks at the lines that some requests leave behind.
func checkLog(s subject) {
	c, nobody, mistaken := client(s.task), anonymous(s.task), client(s.task)
	mistaken.Password = "wrong password"
	secret := "s3cr3t-in-the-query"
	before := marked(s.task) // the lines of earlier requests are not to be mixed up with these
	if before == 0 {
		s.wrong("no request is in the log")
	}

	// What leaves no line: a connection without a request.
	local := rig.Client{Task: s.task.Addr, From: loadBalancer, Header: rig.LocalHeader()}
	for _, silent := range []rig.Client{c, local, {Task: s.task.Addr, From: loadBalancer}} {
		if conn, err := silent.Dial(); err == nil {
			conn.Close()
		}
	}
	const page, denied = "http://origin.example/", "403 TCP_DENIED ERR_FORWARDING_DENIED -"
	const unproved = "407 TCP_DENIED ERR_CACHE_ACCESS_DENIED -"
	requests := []struct {
		who            rig.Client
		method, target string
		want           string // status, result, error and destination in the line behind the challenge
	}{
		{nobody, "GET", page + "a?" + secret, ""},
		{mistaken, "GET", page + "b?" + secret, unproved},
		{c, "GET", page + "c?" + secret, "200 TCP_MISS - " + publicIPv4.String()},
		{c, "CONNECT", "10.9.8.7:443", denied},
		{c, "CONNECT", "[2001:db8::1]:443", denied},
		{c, "GET", "http://nowhere.example/", "503 TCP_DENIED ERR_DNS_FAIL -"},
	}
	user, passwords := "alice ", s.task.Params.Auth.Passwords()
	if !passwords { // nobody is challenged, nobody is mistaken, and nobody has a name
		requests, user = requests[2:], "- "
	}
	var want []string
	for _, r := range requests {
		agent := "User-Agent: agent \"with\" \\quotes\\ and \xff\xfe"
		if _, err := r.who.Request(r.method, r.target, agent); err != nil {
			s.wrong("%s %s: %v", r.method, r.target, err)
		}
		url := strings.TrimSuffix(strings.NewReplacer("[", "%5B", "]", "%5D").Replace(r.target), secret)
		if passwords {
			want = append(want, "- "+r.method+" "+url+" "+unproved)
		}
		if r.want != "" {
			want = append(want, user+r.method+" "+url+" "+r.want)
		}
	}
	var lines []string
	must.Within(5*time.Second, func() bool {
		lines = s.task.Log()[before:]
		return len(lines) >= len(want)
	})
	var got []string
	for _, line := range lines {
		e, err := parse(line)
		if err != nil {
			s.wrong("%v: %s", err, line)
			continue
		}
		if e.Client != insider.String() || e.Egress == "" || e.BytesFromClient == 0 || e.BytesToClient == 0 ||
			!strings.HasPrefix(e.UserAgent, "agent%20%22with%22") {
			s.wrong("%s", line)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000-0700", e.Time); err != nil {
			s.wrong("time: %v", err)
		}
		for _, leak := range []string{secret, password, "response=", "nonce", rig.Basic("", "")[:6]} {
			if strings.Contains(line, leak) {
				s.wrong("%q is in the log: %s", leak, line)
			}
		}
		// Where a rule names status and page, Squid writes both.
		reason := strings.TrimPrefix(strings.TrimPrefix(e.Error, "407:"), "503:")
		// Squid knows whom a wrong password is said to belong to; the fleet's helper says what is
		// wrong.
		if e.Auth == "wrong-password" {
			e.User = mistaken.User
		}
		got = append(got, fmt.Sprintf("%s %s %s %d %s %s %s", e.User, e.Method, e.URL, e.Status, e.Result, reason,
			e.Destination))
	}
	if !slices.Equal(got, want) {
		s.wrong("the log holds %q, want %q", got, want)
	}
}

func TestATunnelsBytesAreInTheLog(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(nil))
	tunnel, response, err := client(task).Tunnel("origin.example:443")
	if err != nil || tunnel == nil {
		t.Fatalf("%+v, %v", response, err)
	}
	io.WriteString(tunnel, strings.Repeat("x", 10_000)) // no TLS: the origin answers with an alert and closes
	io.Copy(io.Discard, tunnel)
	tunnel.Close()
	line := task.WaitForLog(t, `"method":"CONNECT"`, `"status":200`)
	if e, err := parse(line); err != nil || e.URL != "origin.example:443" || e.BytesFromClient < 1000 ||
		e.Destination != publicIPv4.String() {
		t.Errorf("%v: %s", err, line)
	}
}

// suppressed reads a line that counts refusals which were not written.
func suppressed(line string) (n int) {
	var count struct {
		Egress, Time, User, Auth string
		Status, Suppressed       int
	}
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&count) != nil || decoder.More() {
		return 0
	}
	return count.Suppressed
}

// Whatever bytes a client sends, the log stays one JSON object a line. Of refusals it has some and
// a count, and of somebody with a password every line. The bytes are random, but the same each
// time.
func TestNothingAClientSendsBreaksTheLog(t *testing.T) {
	newWorld(t)
	task := startTask(t, options(nil))
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"GET ", "CONNECT ", "POST ", "http://", "origin.example", "/", "?", "#",
		" HTTP/1.1", " HTTP/1.0", " HTTP/0.9", "\r\n", "\n", "\r", "\x00", "\"", "\\", "\\u0000",
		"}", "{", "\n{\"x\":1}\n",
		"User-Agent: ", "Host: ", "Proxy-Authorization: Digest ", "username=\"a\\\"b\"",
		"Digest username=\"alice\", realm=\"squidfleet\", nonce=\"x\", uri=\"/\", response=\"y\"",
		"Content-Length: 5", "Transfer-Encoding: chunked",
		"\xff\xfe", "\xed\xa0\x80", "\u2028", "ünï", "%00", "%22", "%0a", "%", "\t", "\x1b[31m", "\x7f",
		strings.Repeat("A", 9000), "<script>", "${service_name}", "%>a", "%{User-Agent}>h"}
	for range 1500 {
		var request strings.Builder
		if random.IntN(2) == 0 {
			request.WriteString("GET http://origin.example/")
		}
		for range 1 + random.IntN(12) {
			request.WriteString(pieces[random.IntN(len(pieces))])
		}
		if random.IntN(2) == 0 {
			request.WriteString(" HTTP/1.1\r\nUser-Agent: ")
			for range 1 + random.IntN(40) {
				request.WriteByte(byte(random.IntN(256)))
			}
		}
		request.WriteString("\r\n\r\n")
		conn := dial(t, client(task), "")
		io.WriteString(conn, request.String()) // an error, where it is cut off
		conn.(*net.TCPConn).CloseWrite()
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	const forbidden = 200 // more than a second's refusals of a stranger
	for range forbidden {
		_, err := client(task).Request("GET", "http://10.9.8.7/")
		must.OK(t, err)
	}
	marked(task)
	task.Stop(t) // which has it count the refusals that were not written
	lines := task.Log()
	statuses, counted, ofAlice := map[int]int{}, 0, 0
	for i, line := range lines {
		if n := suppressed(line); n > 0 {
			counted += n
			continue
		}
		e, err := parse(line)
		if err != nil {
			t.Errorf("line %d: %v: %.300q", i+1, err, line)
		}
		statuses[e.Status]++
		if e.Status == refused && e.User == "alice" {
			ofAlice++
		}
	}
	if len(lines)+counted < 1000 || counted == 0 {
		t.Errorf("only %d lines and %d not written", len(lines), counted)
	}
	if statuses[200] == 0 || ofAlice < forbidden || statuses[400] == 0 || statuses[407] == 0 {
		t.Errorf("the requests did not get far enough: %v, %d refused of alice's", statuses, ofAlice)
	}
	t.Logf("%d lines, by status: %v", len(lines), statuses)
}
