package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// network is where all addresses of a fleet are.
var network = netip.MustParsePrefix("127.77.0.0/16")

// node returns the load balancer's address in a zone.
func node(zone int) netip.Addr { return netip.AddrFrom4([4]byte{127, 77, 0, byte(1 + zone)}) }

// zoneName is that of a zone: a, b, …
func zoneName(zone int) string { return string(rune('a' + zone)) }

var (
	firstOrigin = netip.MustParseAddr("127.77.0.80")
	firstTask   = netip.MustParseAddr("127.77.1.1")
)

// attempts bounds the search for a free address: other fleets on the machine may have some.
const attempts = 512

// free returns the first address from one on at which a task can listen at all of its ports. After
// the network's last address it goes on with the tasks' first.
func free(from netip.Addr, ports ...int) (netip.Addr, error) {
	address := from
	for range attempts {
		if !network.Contains(address) {
			address = firstTask
		}
		err := listenable(address, ports)
		switch {
		case err == nil:
			return address, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return netip.Addr{}, explain(err)
		}
		address = address.Next()
	}
	return netip.Addr{}, fmt.Errorf("no free address: the ports %d are in use at %d addresses from %s on; end the "+
		"program that listens there, perhaps at all addresses, or choose other ports with -c listenerPort=PORT",
		ports, attempts, from)
}

func listenable(address netip.Addr, ports []int) error {
	for _, port := range ports {
		l, err := net.Listen("tcp4", netip.AddrPortFrom(address, uint16(port)).String())
		if err != nil {
			return err
		}
		l.Close()
	}
	return nil
}

// explain adds the remedy to an error of listening at one of the network's addresses.
func explain(err error) error {
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return fmt.Errorf("%w; a local fleet needs the addresses %s on the loopback interface: "+
			"sudo ip address add %[2]s dev lo", err, network)
	}
	return err
}

// explainPort adds the remedy to an error of listening at the clients' port.
func explainPort(err error) error {
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w; ports below 1024 need root: choose another with --port PORT", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; end the program that listens there, or choose another with --port PORT", err)
	}
	return err
}
