package rotation

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"squidfleet/internal/local"
	"squidfleet/internal/rig"
)

// A fleet on one machine has an origin at a forbidden address. That address and port is open, by
// its address, and nothing beside it.
func TestTheOriginIsTheOnlyHoleInTheGuard(t *testing.T) {
	names := rig.StartDNS(t)
	names.Set("public.example", "93.184.215.14")
	names.Set("metadata.example", "169.254.169.254")
	reachable := rig.StartOrigins(t, []int{80}, []int{443})
	reachable.SetHandler(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }))
	f, _, newClient := fleet(t, func(o *local.Options) { o.Tasks = 1 })
	c := newClient()
	origin := c.origin
	address, port, err := net.SplitHostPort(origin)
	if err != nil {
		t.Fatal(err)
	}
	names.Set("origin.example", address)
	names.Set("both.example", address, "169.254.169.254")
	// Another server of this machine, at the origin's port.
	neighbour, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.Close()
	task := f.Tasks()[0].Address.String()

	for _, refused := range []string{
		"http://169.254.169.254/latest/meta-data/", "http://169.254.170.2/v2/credentials/", "http://127.0.0.1/",
		"http://10.0.0.1/", "http://192.168.1.1/", "http://[::1]/", "http://" + address + "/",
		"http://127.0.0.1:" + port + "/", "http://127.77.0.1:" + port + "/", "http://" + task + ":35201/",
		"http://" + task + ":35202/", "http://" + f.Endpoint.String() + "/", "http://metadata.example/",
		"http://origin.example:" + port + "/", "http://both.example:" + port + "/", "http://both.example/",
	} {
		status(t, c, reachable, http.MethodGet, refused, http.StatusForbidden)
	}
	for _, refused := range []string{
		"169.254.169.254:443", "127.0.0.1:443", address + ":443", "127.0.0.1:" + port, task + ":35201",
		f.Endpoint.String(), "origin.example:" + port, "both.example:443",
	} {
		status(t, c, reachable, http.MethodConnect, refused, http.StatusForbidden)
	}

	response, err := c.proxy.Request(http.MethodGet, "http://"+origin+"/")
	if err != nil || response.StatusCode != http.StatusOK || response.Text != task+"\n" {
		t.Errorf("the origin: %+v, %v", response, err)
	}
	tunnel, _, err := c.proxy.Tunnel(origin)
	if err != nil || tunnel == nil {
		t.Errorf("a tunnel to the origin: %v", err)
	} else {
		tunnel.Close()
	}
	// Public destinations are asked from this machine's own address: nobody would answer one of
	// 127.0.0.0/8.
	response, err = c.proxy.Request(http.MethodGet, "http://public.example/")
	if err != nil || response.StatusCode != http.StatusOK || strings.HasPrefix(response.Text, "127.77.") {
		t.Errorf("a public destination: %+v, %v", response, err)
	}
	stranger := c.proxy
	stranger.Password = "a guess at the password"
	if response, err := stranger.Request(http.MethodGet, "http://"+origin+"/"); err != nil ||
		response.StatusCode != http.StatusProxyAuthRequired {
		t.Errorf("the origin for a stranger: %+v, %v", response, err)
	}
}

func status(t *testing.T, c client, reachable *rig.Origins, method, target string, want int) {
	t.Helper()
	reachable.Forget()
	response, err := c.proxy.Request(method, target)
	switch {
	case err != nil:
		t.Errorf("%s %s: %v", method, target, err)
	case response.StatusCode != want:
		t.Errorf("%s %s: %d, want %d", method, target, response.StatusCode, want)
	}
	if reached := reachable.Reached(); len(reached) > 0 {
		t.Errorf("%s %s: reached %v", method, target, reached)
	}
}
