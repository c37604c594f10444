package squid

// originAccess opens one address and port of this machine. The request has to name the address
// itself. A host name goes by the rules below, whatever its addresses are, because a rule that
// matches one of a name's addresses would let it through to the others as well.
func (c Config) originAccess(w *writer) {
	if !c.LocalOrigin.IsValid() {
		return
	}
	w.line("# The origin of a fleet on one machine: by its address, at its port, and nothing else of this machine.")
	w.line("acl local_origin dstdomain -n %s", c.LocalOrigin.Addr())
	w.line("acl local_origin_port port %d", c.LocalOrigin.Port())
	w.line("http_access allow clients authenticated local_origin local_origin_port")
}

// originDirect takes the origin out of what is never connected to.
func (c Config) originDirect(w *writer) {
	if c.LocalOrigin.IsValid() {
		w.line("never_direct deny local_origin local_origin_port")
	}
}

// outgoing writes the source address. A loopback address reaches nothing but this machine, so that
// everything but the origin leaves from the address that the system chooses.
//
// Squid takes a line for destinations of the address's own family only. No machine has an address
// of 100::/64 (RFC 6666), so that connecting to IPv6 fails at once (tried with 5.7 and 6.13).
// Where a firewall drops the packets instead, a name with IPv6 only would take long to fail.
func (c Config) outgoing(w *writer) {
	if c.IPv4Only {
		w.line("tcp_outgoing_address 100::1")
	}
	switch {
	case !c.OutgoingAddress.IsValid():
	case c.LocalOrigin.IsValid():
		w.line("tcp_outgoing_address %s local_origin", c.OutgoingAddress)
	default:
		w.line("tcp_outgoing_address %s", c.OutgoingAddress)
	}
}
