package main

import (
	"fmt"
	"net"
)

// checkIPv6 returns an error if clients would be cut off because Squid does without IPv6.
//
// Squid binds ::1 when it starts. If it cannot, it turns IPv6 off and drops the IPv6 entries of its
// access lists with no more than a line in its log (ip/tools.cc and acl/Ip.cc; tried with 5.7 and
// 6.13).
func checkIPv6(c conf) error {
	probe, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		return probe.Close()
	}
	if c.ipv6Clients.IsValid() {
		return fmt.Errorf("Squid turns IPv6 off because %w, and would cut off the clients of %v; "+
			"give the container IPv6 on its loopback interface (sysctl net.ipv6.conf.lo.disable_ipv6=0), "+
			"or take the IPv6 blocks out of clientCidrs", err, c.ipv6Clients)
	}
	complain("Squid turns IPv6 off because %v: destinations are reached by IPv4 only", err)
	return nil
}
