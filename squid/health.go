package squid

import "net/netip"

// HealthPort is the name of the port for the container's own health check, as it stands in
// squid.conf.
const HealthPort = "health"

// healthEntry writes a port that only the machine itself reaches. A health check comes in as a
// client does, with a PROXY header, and must not be able to claim a client's address at the
// clients' port for it. The header is believed there from the loopback address alone.
func (c Config) healthEntry(w *writer) {
	if c.HealthPort == 0 {
		return
	}
	address := c.ListenAddress
	if !address.IsValid() || address.IsUnspecified() {
		address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	w.line("http_port %s require-proxy-header name=%s", netip.AddrPortFrom(address, uint16(c.HealthPort)), HealthPort)
	w.line("acl health myportname %s", HealthPort)
	w.line("acl loopback src 127.0.0.1 ::1")
	w.line("proxy_protocol_access allow health loopback")
}

// healthAccess writes the first of the access rules: what comes in at the health port is asked for
// a password, if there are any, and then refused, whatever it asks for. The port opens nothing to
// anybody, and yet an answer shows that the helper and the rules are alive. With Digest, only a
// request with a right password gets as far as the 403, so that the 403 cannot come of a helper
// that refuses everybody. With Basic the health check wants a 407.
//
// Clients' requests end at loopback, because it costs Squid less than the port's name does.
func (c Config) healthAccess(w *writer) {
	if c.HealthPort == 0 {
		return
	}
	const requests = "loopback " + HealthPort + " "
	w.line("# The container's health check: %s, and never any further.", map[Auth]string{
		AuthDigest: "407, then 403", AuthAny: "407, then 403", AuthBasic: "407, or 403", AuthNone: "403",
	}[c.Auth])
	c.ask(w, requests)
	if c.Auth.Digest() {
		w.line("http_access deny %s!authenticated", requests)
	}
	w.line("http_access deny health")
}
