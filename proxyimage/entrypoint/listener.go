package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// listeners are the ports in Squid's configuration. An invalid address means every address of the
// machine.
type listeners struct{ clients, health netip.AddrPort }

// readListeners finds the lines "http_port [ADDRESS:]PORT [OPTION]...".
func readListeners(dir string) (listeners, error) {
	path := filepath.Join(dir, container.SquidConf)
	content, err := os.ReadFile(path)
	if err != nil {
		return listeners{}, err
	}
	var found listeners
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "http_port" {
			continue
		}
		address, err := parsePort(fields[1])
		if err != nil {
			return listeners{}, fmt.Errorf("%s: http_port: %w", path, err)
		}
		if slices.Contains(fields[2:], "name="+squid.HealthPort) {
			found.health = address
		} else {
			found.clients = address
		}
	}
	if found.clients.Port() == 0 {
		return listeners{}, fmt.Errorf("%s: has no http_port for clients", path)
	}
	return found, nil
}

// listenerPoll is how often the kernel is asked while Squid starts.
const listenerPoll = 50 * time.Millisecond

// awaitListener returns once Squid listens, or if that cannot be found out. Linux chooses ports of
// outgoing connections from 32768 to 60999: an earlier connection could take the listener's own
// port, and Squid would not start.
func awaitListener(at netip.AddrPort) {
	for {
		if listens, err := listening(at); listens || err != nil {
			return
		}
		time.Sleep(listenerPoll)
	}
}

func parsePort(text string) (netip.AddrPort, error) {
	if port, err := strconv.ParseUint(text, 10, 16); err == nil {
		return netip.AddrPortFrom(netip.Addr{}, uint16(port)), nil
	}
	address, err := netip.ParseAddrPort(text)
	if address.Addr().IsUnspecified() {
		address = netip.AddrPortFrom(netip.Addr{}, address.Port())
	}
	return address, err
}
