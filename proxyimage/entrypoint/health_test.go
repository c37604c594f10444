package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// healthPort answers the health check as Squid does: with challenges, and with a status once the
// client answers the challenge for MD5. Tests with the real Squid check that answer's arithmetic.
func healthPort(status int, challenges ...string) func(net.Conn) {
	return func(conn net.Conn) {
		header := make([]byte, len(proxyLocal))
		_, err := io.ReadFull(conn, header)
		if err != nil || string(header) != "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" {
			return
		}
		requests := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(requests)
			if err != nil {
				return
			}
			if strings.Contains(request.Header.Get("Proxy-Authorization"), `nonce="n0nce+/="`) {
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
}

// healthDir is a working directory with a health port and a password file.
func healthDir(t *testing.T, auth, address string) string {
	t.Helper()
	hashes, err := squid.PasswordFile(squid.DigestSquid, "My Realm (1)", []squid.Credential{
		{User: "alice", Password: "open sesame"}, {User: "bob", Password: "swordfish"},
	})
	must.OK(t, err)
	dir := t.TempDir()
	conf := auth + "http_port 1 require-proxy-header\nhttp_port " + address + " require-proxy-header name=health\n"
	must.OK(t, os.WriteFile(filepath.Join(dir, container.SquidConf), []byte(conf), 0o600))
	must.OK(t, os.WriteFile(filepath.Join(dir, container.Passwords), hashes, 0o600))
	return dir
}

// status answers whatever is asked with a status.
func status(code int) func(net.Conn) {
	return func(conn net.Conn) {
		fmt.Fprintf(conn, "HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n", code)
		io.Copy(io.Discard, conn)
	}
}

// What a configuration has with each auth.
const (
	digestConf = "\nacl digest external x\n"
	basicConf  = "\nacl basic external x\n"
)

func TestHealth(t *testing.T) {
	const (
		realm = `Digest realm="My Realm (1)", `
		md5   = realm + `nonce="n0nce+/=", qop="auth", algorithm=MD5, stale=false`
		sha   = realm + `nonce="other", qop="auth", algorithm=SHA-256`
		basic = `Basic realm="My Realm (1)", charset="UTF-8"`
		first = "a request without credentials: "
		then  = "a request with credentials: "
	)
	for _, c := range []struct {
		name, auth string
		serve      func(net.Conn)
		want       string
	}{
		{"healthy", digestConf, healthPort(403, md5), ""},
		{"no algorithm named", digestConf, healthPort(403, realm+`nonce="n0nce+/=", qop="auth"`), ""},
		{"two challenges", digestConf, healthPort(403, sha, md5), ""},
		{"other challenges", digestConf, healthPort(403, basic, `Digest realm="other", nonce="n0nce+/="`,
			realm, sha), `user "alice" can answer none of Squid's challenges`},
		{"no helper", digestConf, healthPort(503, md5), then + `Squid answered "HTTP/1.1 503 Whatever" instead of 403`},
		{"open to all", digestConf, healthPort(200, md5),
			then + `Squid answered "HTTP/1.1 200 Whatever" instead of 403`},
		{"closed", digestConf, func(net.Conn) {}, first},
		{"not HTTP", digestConf,
			func(conn net.Conn) { io.WriteString(conn, "SSH-2.0-x\r\n"); io.Copy(io.Discard, conn) },
			first + `Squid answered "SSH-2.0-x" instead of 407`},
		{"hung", digestConf, func(conn net.Conn) { io.Copy(io.Discard, conn) }, first + "read tcp "},
		{"Basic", basicConf, healthPort(403, basic), ""},
		{"Basic that is not offered", basicConf, healthPort(403, md5), "none of Squid's challenges is Basic"},
		{"any", digestConf + basicConf, healthPort(403, md5, basic), ""},
		{"any without Basic", digestConf + basicConf, healthPort(403, md5), "none of Squid's challenges is Basic"},
		{"any without Digest", digestConf + basicConf, healthPort(403, basic), `user "alice" can answer none`},
		{"none", "", status(403), ""},
		{"none that asks for a password", "", healthPort(403, md5), first + `Squid answered "HTTP/1.1 407`},
		{"none that opens something", "", status(200), first + `Squid answered "HTTP/1.1 200`},
		{"Digest that asks for no password", digestConf, status(403), first + `Squid answered "HTTP/1.1 403`},
		{"Basic that asks for no password", basicConf, status(403), first + `Squid answered "HTTP/1.1 403`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address, _ := rig.RawAt(t, "127.0.0.1:0", c.serve)
			err := checkHealth(healthDir(t, c.auth, address))
			if got := fmt.Sprint(err); (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, want %q", got, c.want)
			}
		})
	}
}

func TestHealthWithoutWhatItNeeds(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"": {"", "dial tcp 127.0.0.1:0->127.0.0.1:1: connect: connection refused"},
		container.Passwords: {"alice\n",
			"DIR/passwords: does not begin with a record of the form user:realm:hash"},
		container.SquidConf: {"http_port 1\n", "squid.conf has no http_port with name=health"},
	} {
		dir := healthDir(t, digestConf, "127.0.0.1:1")
		check := func(want string) {
			t.Helper()
			got := strings.ReplaceAll(fmt.Sprint(checkHealth(dir)), dir, "DIR")
			if !strings.HasPrefix(got, want) {
				t.Errorf("%s, want %s", got, want)
			}
		}
		if name != "" {
			must.OK(t, os.WriteFile(filepath.Join(dir, name), []byte(c.content), 0o600))
		}
		check(c.want)
		if name != "" {
			must.OK(t, os.Remove(filepath.Join(dir, name)))
			check("open DIR/" + name + ": no such file")
		}
	}
}
