package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"squidfleet/internal/must"
)

func TestAFreeAddressIsOneAtWhichAllPortsAreFree(t *testing.T) {
	from := netip.MustParseAddr("127.77.200.1")
	listen := func(address string) net.Listener {
		l, err := net.Listen("tcp4", address)
		must.OK(t, err)
		t.Cleanup(func() { l.Close() })
		return l
	}
	// The kernel chooses the ports, so that nobody else has them.
	first := listen("127.77.200.1:0").Addr().(*net.TCPAddr).Port
	second := listen("127.77.200.2:0").Addr().(*net.TCPAddr).Port
	got, err := free(from, first, second)
	if err != nil || got.String() != "127.77.200.3" {
		t.Errorf("%v, %v", got, err)
	}
	// The network's last address is in use here, so the search goes on at the tasks' first.
	last := listen("127.77.255.255:0").Addr().(*net.TCPAddr).Port
	for _, from := range []string{"127.77.255.255", "127.78.0.0"} {
		if got, err := free(netip.MustParseAddr(from), last); err != nil || got != firstTask {
			t.Errorf("from %s: %v, %v", from, got, err)
		}
	}
	everywhere := listen("0.0.0.0:0").Addr().(*net.TCPAddr).Port
	if _, err := free(from, everywhere); err == nil || !strings.Contains(err.Error(), "no free address: the ports") {
		t.Errorf("%v", err)
	}
}

func TestErrorsOfListeningTellWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must.OK(t, err)
	defer l.Close()
	_, inUse := net.Listen("tcp4", l.Addr().String())
	_, notOurs := net.Listen("tcp4", "203.0.113.9:35201")
	denied := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}
	other := errors.New("something that nobody can do anything for")
	for _, c := range []struct {
		explain func(error) error
		err     error
		want    string
	}{
		{explainPort, inUse, "end the program that listens there, or choose another with --port PORT"},
		{explainPort, denied, "ports below 1024 need root: choose another with --port PORT"},
		{explainPort, other, other.Error()},
		{explain, notOurs, "sudo ip address add 127.77.0.0/16 dev lo"},
		{explain, inUse, inUse.Error()}, // not a word of --port, which is another one
	} {
		if got := c.explain(c.err); !strings.HasSuffix(got.Error(), c.want) || !errors.Is(got, c.err) {
			t.Errorf("%v does not end in %q", got, c.want)
		}
	}
}

// Each origin has an address of its own. A program that listens at a port of all addresses is
// common, 8080 above all: then the origin has another port.
func TestTheOriginFindsAnAddressAndAPort(t *testing.T) {
	start := func() *Origin {
		o, err := StartOrigin(nil)
		must.OK(t, err)
		if !network.Contains(o.Address.Addr()) {
			t.Errorf("it listens on %v", o.Address)
		}
		return o
	}
	first, second := start(), start()
	if first.Address == second.Address {
		t.Error(first.Address)
	}
	must.OK(t, errors.Join(first.Close(), second.Close()))
	if conn, err := net.Dial("tcp", first.Address.String()); err == nil {
		conn.Close()
		t.Error("a closed origin listens")
	}
	if everywhere, err := net.Listen("tcp4", fmt.Sprint("0.0.0.0:", originPort)); err == nil {
		// Otherwise somebody else does just that.
		defer everywhere.Close()
	}
	third := start()
	defer third.Close()
	if third.Address.Port() == originPort {
		t.Errorf("it listens on %v", third.Address)
	}
}
