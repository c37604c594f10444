package clients

import (
	"archive/zip"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// page is what the origin answers at "/".
const page = "a page of the origin"

// egress is where a fleet's tasks have their addresses. The origin can also be reached directly.
var egress = netip.MustParsePrefix("127.77.0.0/16")

// origin answers on ports 80 and 443 of each run's own name. It has a page, a Git repository, an
// npm package, a Python package and a Debian archive.
type origin struct {
	dns   *rig.DNS
	mu    sync.Mutex
	seen  map[string]visits // by host name
	wheel []byte
}

// visits are a run's requests that got what they asked for.
type visits struct{ throughFleet, direct int }

func startOrigin(t *testing.T, certificate tls.Certificate) *origin {
	t.Helper()
	o := &origin{dns: rig.StartDNS(t), seen: map[string]visits{}, wheel: wheel(t)}
	server := &http.Server{Handler: o, ErrorLog: log.New(io.Discard, "", 0)}
	plain, err := net.Listen("tcp", ":80")
	must.OK(t, err)
	secure, err := tls.Listen("tcp", ":443", &tls.Config{Certificates: []tls.Certificate{certificate}})
	must.OK(t, err)
	var done sync.WaitGroup
	done.Go(func() { server.Serve(plain) })
	done.Go(func() { server.Serve(secure) })
	t.Cleanup(func() {
		server.Close()
		done.Wait()
	})
	return o
}

// open gives a run a host name of its own.
func (o *origin) open(name string) (host string) {
	host = name + ".example.com"
	o.dns.Set(host, "93.184.215.14")
	return host
}

func (o *origin) visits(host string) visits {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[host]
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	scheme, kind, body := "http", "text/plain", ""
	if r.TLS != nil {
		scheme = "https"
	}
	switch path.Clean(r.URL.Path) { // apt writes /./Packages
	case "/":
		body = page + "\n"
	case "/project.git/info/refs":
		body = strings.Repeat("1", 40) + "\trefs/heads/main\n"
	case "/project.git/HEAD":
		body = "ref: refs/heads/main\n"
	case "/simple/parcel":
		kind, body = "text/html", `<a href="`+wheelName+`">`+wheelName+`</a>`
	case "/simple/parcel/" + wheelName:
		kind, body = "application/zip", string(o.wheel)
	case "/parcel":
		kind, body = "application/json", fmt.Sprintf(`{"name": "parcel", "dist-tags": {"latest": "1.0.0"},
			"versions": {"1.0.0": {"name": "parcel", "version": "1.0.0", "dist": {"tarball": "%s://%s/parcel.tgz"}}}}`,
			scheme, r.Host)
	case "/Packages":
		body = "Package: parcel\nVersion: 1.0.0\nArchitecture: all\nFilename: parcel.deb\nSize: 1\n"
	default:
		http.NotFound(w, r)
		return
	}
	host, _, _ := strings.Cut(r.Host, ":")
	o.mu.Lock()
	v := o.seen[host]
	if egress.Contains(netip.MustParseAddrPort(r.RemoteAddr).Addr().Unmap()) {
		v.throughFleet++
	} else {
		v.direct++
	}
	o.seen[host] = v
	o.mu.Unlock()
	w.Header().Set("Content-Type", kind)
	io.WriteString(w, body)
}

const wheelName = "parcel-1.0.0-py3-none-any.whl"

// wheel is the smallest Python package that pip takes.
func wheel(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for name, text := range map[string]string{
		"METADATA": "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0.0\n",
		"WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"RECORD":   "",
	} {
		file, err := archive.Create(path.Join("parcel-1.0.0.dist-info", name))
		if err == nil {
			_, err = io.WriteString(file, text)
		}
		must.OK(t, err)
	}
	must.OK(t, archive.Close())
	return out.Bytes()
}
