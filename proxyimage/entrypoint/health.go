package main

import (
	"bufio"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// healthTarget never resolves (RFC 6761, section 6.4); Squid refuses it before it looks names up.
const healthTarget = "http://health.invalid/"

// proxyLocal is a PROXY v2 header with the LOCAL command: the connection is the sender's own, like
// a load balancer's health check (PROXY protocol specification, section 2.2).
const proxyLocal = "\r\n\r\n\x00\r\nQUIT\n" + "\x20\x00\x00\x00"

// noBasic are Basic credentials that hold nothing to guess with: they are no base64.
const noBasic = "Basic !"

// checkHealth makes requests on Squid's health port, which opens nothing. Where there are
// passwords, the first one is challenged. Where Digest is accepted, the next one answers with the
// first user's hash and is refused. Where Basic is, another one is challenged again, by the helper
// that checks Basic: nobody here knows a password. So the PROXY header, the access rules and the
// helpers work, without a name lookup or a byte sent elsewhere.
func checkHealth(dir string) error {
	c, err := readConf(dir)
	if err != nil {
		return err
	}
	if c.health.Port() == 0 {
		return fmt.Errorf("%s has no http_port with name=%s", container.SquidConf, squid.HealthPort)
	}
	var user digestUser
	if c.auth.Digest() {
		if user, err = firstUser(dir); err != nil {
			return err
		}
	}
	// On this port the configuration trusts PROXY headers from the loopback address only.
	from := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if c.health.Addr().Is6() {
		from = netip.IPv6Loopback()
	}
	deadline := time.Now().Add(container.HealthTimeout)
	dialer := net.Dialer{Deadline: deadline, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	conn, err := dialer.Dial("tcp", c.health.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	answers := textproto.NewReader(bufio.NewReader(conn))

	want := 407
	if !c.auth.Passwords() {
		want = 403
	}
	header, err := ask(conn, answers, proxyLocal, "", want)
	if err != nil {
		return fmt.Errorf("a request without credentials: %w", err)
	}
	if c.auth.Digest() {
		authorization, err := user.answer(header.Values("Proxy-Authenticate"))
		if err != nil {
			return err
		}
		if _, err := ask(conn, answers, "", authorization, 403); err != nil {
			return fmt.Errorf("a request with credentials: %w", err)
		}
	}
	if c.auth.Basic() {
		header, err := ask(conn, answers, "", noBasic, 407)
		if err != nil {
			return fmt.Errorf("a request with Basic: %w", err)
		}
		challenges := header.Values("Proxy-Authenticate")
		if !slices.ContainsFunc(challenges, func(c string) bool { return strings.HasPrefix(c, "Basic ") }) {
			return fmt.Errorf("none of Squid's challenges is Basic: %q", challenges)
		}
	}
	return nil
}

// ask sends one request, with credentials or "", and returns the answer's headers. Its status must
// be want.
func ask(conn net.Conn, answers *textproto.Reader, before, credentials string, want int) (textproto.MIMEHeader, error) {
	extra := ""
	if credentials != "" {
		extra = "Proxy-Authorization: " + credentials + "\r\n"
	}
	const request = "%sGET %s HTTP/1.1\r\nHost: health.invalid\r\n%s\r\n"
	if _, err := fmt.Fprintf(conn, request, before, healthTarget, extra); err != nil {
		return nil, err
	}
	line, err := answers.ReadLine()
	if err != nil {
		return nil, err
	}
	status, isHTTP := strings.CutPrefix(line, "HTTP/1.")
	if fields := strings.Fields(status); !isHTTP || len(fields) < 2 || fields[1] != strconv.Itoa(want) {
		return nil, fmt.Errorf("Squid answered %.80q instead of %d", line, want)
	}
	header, err := answers.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	length, err := strconv.ParseUint(header.Get("Content-Length"), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("Squid answered without a usable Content-Length: %w", err)
	}
	_, err = answers.R.Discard(int(length))
	return header, err
}

// digestUser is a record of the password file.
type digestUser struct{ name, realm, ha1 string }

func firstUser(dir string) (digestUser, error) {
	path := filepath.Join(dir, container.RunPasswords)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		path = filepath.Join(dir, container.Passwords)
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return digestUser{}, err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	fields := strings.Split(line, ":")
	if len(fields) != 3 {
		return digestUser{}, fmt.Errorf("%s: does not begin with a record of the form user:realm:hash", path)
	}
	return digestUser{fields[0], fields[1], fields[2]}, nil
}

// answer makes the Proxy-Authorization for healthTarget (RFC 7616, section 3.4). It answers the
// first challenge of our own Squid for MD5, the algorithm of the password file.
func (u digestUser) answer(challenges []string) (string, error) {
	for _, challenge := range challenges {
		_, rest, found := strings.Cut(challenge, `nonce="`)
		if !found || !strings.HasPrefix(challenge, `Digest realm="`+u.realm+`", `) ||
			strings.Contains(challenge, "algorithm=SHA-256") {
			continue
		}
		nonce, _, _ := strings.Cut(rest, `"`)
		const count = "00000001"
		clientNonce, ha2 := rand.Text(), md5Hex("GET:"+healthTarget)
		response := md5Hex(strings.Join([]string{u.ha1, nonce, count, clientNonce, "auth", ha2}, ":"))
		const form = `Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=MD5, qop=auth, nc=%s, ` +
			`cnonce="%s", response="%s"`
		return fmt.Sprintf(form, u.name, u.realm, nonce, healthTarget, count, clientNonce, response), nil
	}
	return "", fmt.Errorf("user %q can answer none of Squid's challenges %q", u.name, challenges)
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}
