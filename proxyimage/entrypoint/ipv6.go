package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"squidfleet/proxyimage/container"
)

// checkIPv6 returns an error if clients would be cut off because Squid does without IPv6.
//
// Squid binds ::1 when it starts. If it cannot, it turns IPv6 off and drops the IPv6 entries of its
// access lists with no more than a line in its log (ip/tools.cc and acl/Ip.cc; tried with 5.7 and
// 6.13).
func checkIPv6(dir string) error {
	probe, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		probe.Close()
		return nil
	}
	content, readErr := os.ReadFile(filepath.Join(dir, container.SquidConf))
	if readErr != nil {
		return readErr
	}
	if block := ipv6Client(content); block.IsValid() {
		return fmt.Errorf("Squid turns IPv6 off because %w, and would cut off the clients of %v; "+
			"give the container IPv6 on its loopback interface (sysctl net.ipv6.conf.lo.disable_ipv6=0), "+
			"or take the IPv6 blocks out of clientCidrs", err, block)
	}
	complain("Squid turns IPv6 off because %v: destinations are reached by IPv4 only", err)
	return nil
}

// ipv6Client finds the first IPv6 block in the access list of clients.
func ipv6Client(conf []byte) netip.Prefix {
	for line := range bytes.Lines(conf) {
		var block string
		if _, err := fmt.Sscanf(string(line), "acl clients src %s", &block); err != nil {
			continue
		}
		if p, err := netip.ParsePrefix(block); err == nil && p.Addr().Is6() {
			return p
		}
	}
	return netip.Prefix{}
}
