package main

import (
	"bufio"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// healthy answers the health check as Squid does, with the challenges given.
func healthy(conn net.Conn, challenges ...string) {
	serveHealth(conn, 403, challenges...)
}

func serveHealth(conn net.Conn, status int, challenges ...string) {
	header := make([]byte, 16)
	if _, err := io.ReadFull(conn, header); err != nil || string(header) != "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" {
		return
	}
	requests := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(requests)
		if err != nil {
			return
		}
		if checkAnswer(request) == nil {
			fmt.Fprintf(conn, "HTTP/1.1 %d Whatever\r\nContent-Length: 4\r\n\r\nno!\n", status)
			continue
		}
		fmt.Fprint(conn, "HTTP/1.1 407 Proxy Authentication Required\r\n")
		for _, challenge := range challenges {
			fmt.Fprintf(conn, "Proxy-Authenticate: %s\r\n", challenge)
		}
		fmt.Fprint(conn, "Content-Length: 4\r\n\r\nwho?")
	}
}

var parameter = regexp.MustCompile(`(\w+)="?([^",]*)"?`)

// checkAnswer does the arithmetic of RFC 7616, section 3.4.1, for user alice with the password "open sesame".
func checkAnswer(request *http.Request) error {
	given := map[string]string{}
	for _, match := range parameter.FindAllStringSubmatch(strings.TrimPrefix(request.Header.Get("Proxy-Authorization"), "Digest "), -1) {
		given[match[1]] = match[2]
	}
	hash := func(text string) string { return fmt.Sprintf("%x", md5.Sum([]byte(text))) }
	want := hash(hash("alice:My Realm (1):open sesame") + ":" + given["nonce"] + ":" + given["nc"] + ":" + given["cnonce"] + ":auth:" + hash(request.Method+":"+request.RequestURI))
	if given["response"] != want || given["username"] != "alice" || given["realm"] != "My Realm (1)" || given["uri"] != request.RequestURI || given["qop"] != "auth" || given["nonce"] != "n0nce+/=" {
		return errors.New("not the answer")
	}
	return nil
}

func TestHealth(t *testing.T) {
	const md5Challenge = `Digest realm="My Realm (1)", nonce="n0nce+/=", qop="auth", algorithm=MD5, stale=false`
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		want  string // part of the reason; "" is healthy
	}{
		{"healthy", func(conn net.Conn) { healthy(conn, md5Challenge) }, ""},
		{"no algorithm named", func(conn net.Conn) {
			healthy(conn, `Digest realm="My Realm (1)", nonce="n0nce+/=", qop="auth"`)
		}, ""},
		{"two challenges", func(conn net.Conn) {
			healthy(conn, `Digest realm="My Realm (1)", nonce="other", qop="auth", algorithm=SHA-256`, md5Challenge)
		}, ""},
		{"challenges of others", func(conn net.Conn) {
			healthy(conn, `Basic realm="My Realm (1)"`, `Digest realm="other", nonce="n0nce+/="`, `Digest realm="My Realm (1)"`, `Digest realm="My Realm (1)", nonce="n0nce+/=", algorithm=SHA-256`)
		}, `Squid's challenge is not one that user "alice" can answer`},
		{"the helper is gone", func(conn net.Conn) { serveHealth(conn, 503, md5Challenge) }, `a request with credentials: Squid answered "HTTP/1.1 503 Whatever" instead of 403`},
		{"open to all", func(conn net.Conn) { serveHealth(conn, 200, md5Challenge) }, `a request with credentials: Squid answered "HTTP/1.1 200 Whatever" instead of 403`},
		{"closed", func(net.Conn) {}, "a request without credentials: "},
		{"something else", func(conn net.Conn) { io.WriteString(conn, "SSH-2.0-x\r\n"); io.Copy(io.Discard, conn) }, `a request without credentials: Squid answered "SSH-2.0-x" instead of 407`},
		{"hung", func(conn net.Conn) { io.Copy(io.Discard, conn) }, "i/o timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						c.serve(conn)
					}()
				}
			}()
			for _, passwords := range []string{container.Passwords, container.RunPasswords} {
				dir := healthDir(t, listener.Addr().String(), passwords)
				got := runHealth(t, dir)
				if c.want == "" && got != "" || !strings.Contains(got, c.want) {
					t.Errorf("%s: %q, want %q", passwords, got, c.want)
				}
				if c.name == "hung" {
					break // Once is enough of the waiting.
				}
			}
		})
	}
}

// healthDir is a working directory with a configuration and a password file.
func healthDir(t *testing.T, address, passwords string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, container.Run), 0o700); err != nil {
		t.Fatal(err)
	}
	hashes, err := squid.PasswordFile(squid.DigestSquid, "My Realm (1)", []squid.Credential{{User: "alice", Password: "open sesame"}, {User: "bob", Password: "swordfish"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		container.SquidConf: "http_port 1 require-proxy-header\nhttp_port " + address + " require-proxy-header name=health\n",
		passwords:           string(hashes),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runHealth runs the built program and returns what it says when it finds Squid unhealthy. Its environment holds what a
// container's does, which is none of its business.
func runHealth(t *testing.T, dir string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, program, container.Health)
	command.Env = append([]string{container.EnvDir + "=" + dir}, secrets...)
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && len(output) == 0:
		return ""
	case errors.As(err, &exit) && exit.ExitCode() == exitFailure && strings.HasPrefix(string(output), "entrypoint: unhealthy: "):
		return string(output)
	}
	t.Fatalf("%v: %q", err, output)
	return ""
}

func TestHealthWithoutWhatItNeeds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := netip.MustParseAddrPort(listener.Addr().String()).String()
	listener.Close()
	for _, c := range []struct {
		name    string
		prepare func(dir string) error
		want    string
	}{
		{"nobody listens", func(string) error { return nil }, "connection refused"},
		{"no password file", func(dir string) error { return os.Remove(filepath.Join(dir, container.Passwords)) }, "run/passwords: no such file"},
		{"not a password file", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, container.Passwords), []byte("alice\n"), 0o600)
		}, "does not begin with a record of the form user:realm:hash"},
		{"no health port", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, container.SquidConf), []byte("http_port 1\n"), 0o600)
		}, "squid.conf has no http_port with name=health"},
		{"no configuration", func(dir string) error { return os.Remove(filepath.Join(dir, container.SquidConf)) }, "squid.conf: no such file"},
	} {
		dir := healthDir(t, closed, container.Passwords)
		if err := c.prepare(dir); err != nil {
			t.Fatal(err)
		}
		if got := runHealth(t, dir); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
