package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// conf is what this program has to know of Squid's configuration.
type conf struct {
	// clients and health are Squid's ports, 0 if there is none. An invalid address means every
	// address of the machine.
	clients, health netip.AddrPort
	auth            squid.Auth
	ipv6Clients     netip.Prefix // the first IPv6 block in the access list of clients
}

// readConf reads squid.conf.
func readConf(dir string) (conf, error) {
	path := filepath.Join(dir, container.SquidConf)
	content, err := os.ReadFile(path)
	if err != nil {
		return conf{}, err
	}
	found := conf{auth: squid.AuthOf(string(content))}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 2 && fields[0] == "http_port": // [ADDRESS:]PORT [OPTION]...
			address, err := parsePort(fields[1])
			if err != nil {
				return conf{}, fmt.Errorf("%s: http_port: %w", path, err)
			}
			if slices.Contains(fields[2:], "name="+squid.HealthPort) {
				found.health = address
			} else {
				found.clients = address
			}
		case len(fields) == 4 && strings.HasPrefix(line, "acl clients src ") && !found.ipv6Clients.IsValid():
			if block, err := netip.ParsePrefix(fields[3]); err == nil && block.Addr().Is6() {
				found.ipv6Clients = block
			}
		}
	}
	if found.clients.Port() == 0 {
		return conf{}, fmt.Errorf("%s: has no http_port for clients", path)
	}
	return found, nil
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
