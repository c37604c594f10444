package rotation

import (
	"net"
	"net/http"
	"testing"

	"squidfleet/internal/local"
	"squidfleet/internal/must"
)

// A fleet on one machine opens its origin, at a forbidden address, and neither its own tasks nor
// its load balancer. (The integration tests have more of such a task's destinations.)
func TestTheOriginIsTheOnlyHoleInTheGuard(t *testing.T) {
	f, _, newClient := fleet(t, func(o *local.Options) { o.Addresses = 1 })
	c := newClient(anyAddress)
	task := serving(t, f, 1).Address.String()
	_, port, err := net.SplitHostPort(c.origin)
	must.OK(t, err)
	response, err := c.proxy.Request(http.MethodGet, "http://"+c.origin+"/")
	if err != nil || response.StatusCode != http.StatusOK || response.Text != task+"\n" {
		t.Errorf("the origin: %+v, %v", response, err)
	}
	tunnel, _, err := c.proxy.Tunnel(c.origin)
	if err != nil || tunnel == nil {
		t.Errorf("a tunnel to the origin: %v", err)
	} else {
		tunnel.Close()
	}
	for _, refused := range []string{
		task + ":35201", task + ":35202", f.Endpoint.String(), f.EndpointOf(1).String(), "127.0.0.1:" + port,
		"169.254.169.254:80",
	} {
		for method, target := range map[string]string{"GET": "http://" + refused + "/", "CONNECT": refused} {
			response, err := c.proxy.Request(method, target)
			if err != nil || response.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s: %+v, %v", method, target, response, err)
			}
		}
	}
}
