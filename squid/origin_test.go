package squid

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A fleet on one machine has every rule of any other fleet, in the same order, and these few lines.
func TestTheLocalOriginOpensNothingElse(t *testing.T) {
	c := valid()
	c.OutgoingAddress = netip.MustParseAddr("127.77.1.1")
	without, err := c.Render()
	if err != nil {
		t.Fatal(err)
	}
	c.LocalOrigin = netip.MustParseAddrPort("127.77.0.80:8080")
	with, err := c.Render()
	if err != nil {
		t.Fatal(err)
	}
	added := strings.Split(with, "\n")
	for _, line := range strings.Split(without, "\n") {
		if line == "tcp_outgoing_address 127.77.1.1" {
			continue
		}
		i := slices.Index(added, line)
		if i < 0 {
			t.Fatalf("%q is gone", line)
		}
		added = slices.Delete(added, i, i+1)
	}
	want := []string{
		"# The origin of a fleet on one machine: by its address, at its port, and nothing else of this machine.",
		"acl local_origin dstdomain -n 127.77.0.80",
		"acl local_origin_port port 8080",
		"http_access allow clients authenticated local_origin local_origin_port",
		"never_direct deny local_origin local_origin_port",
		"tcp_outgoing_address 127.77.1.1 local_origin",
	}
	if !slices.Equal(added, want) {
		t.Errorf("added:\n%s\nwant:\n%s", strings.Join(added, "\n"), strings.Join(want, "\n"))
	}
}
