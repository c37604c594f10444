package squid

import (
	"net/netip"
	"strconv"
	"strings"

	"squidfleet/destination"
)

// entry writes who may speak to the port at all: the load balancer alone, because the sender of a
// PROXY header may claim any client address. The load balancer's health checks send the header's
// LOCAL command, which names no client; the connection then counts as the load balancer's own.
func (c Config) entry(w *writer) {
	w.section("Entry: the load balancer alone, with a PROXY header that tells the client's address")
	listen := strconv.Itoa(c.ListenPort)
	if c.ListenAddress.IsValid() {
		listen = netip.AddrPortFrom(c.ListenAddress, uint16(c.ListenPort)).String()
	}
	w.line("http_port %s require-proxy-header connection-auth=off", listen)
	addresses(w, "load_balancer src", c.LoadBalancerCidrs)
	w.line("proxy_protocol_access allow load_balancer")
	c.healthEntry(w)
}

// Methods are the ones that the proxy passes on. TRACE would echo the client's headers, PURGE is
// Squid's own.
var Methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"}

// access writes the rules that a request has to pass, in the order in which they may reveal
// something: first the client's address, then the user, and only then what the request asks for. No
// name is looked up for somebody who has no password.
//
// Squid answers some requests before it asks any of these rules: those that it cannot read, and
// those with an Expect, a Transfer-Encoding or a length that it does not take. A rule about answers
// (http_reply_access) would turn these errors into 403s for all, but cannot cut off (tried with 5.7
// and 6.13). The closing "deny all" is for the reader: behind an allow it is Squid's default.
func (c Config) access(w *writer) {
	w.section("Access: client address AND user AND method AND port AND a public destination")
	addresses(w, "clients src", c.ClientCidrs)
	w.line("acl crowd maxconn %d", c.connectionsPerClient())
	w.line("acl known_methods method %s", strings.Join(Methods, " "))
	w.line("acl connect method CONNECT")
	w.line("acl http_scheme proto HTTP")
	list(w, "http_ports port", c.HTTPPorts)
	list(w, "connect_ports port", c.ConnectPorts)
	w.line("# Any address at all: a name that has none matches nothing, and must not slip past the rules below.")
	w.line("acl resolved dst all")
	addresses(w, "forbidden dst", destination.Forbidden(c.VpcCidrs, c.BlockedCidrs, c.AllowedPrivateCidrs))

	c.healthAccess(w)
	w.line("# Health checks and everybody else without a client's address: cut off, without an answer.")
	w.line("deny_info TCP_RESET load_balancer")
	w.line("http_access deny load_balancer")
	w.line("deny_info TCP_RESET clients")
	w.line("http_access deny !clients")
	w.line("# Cut off too, because with an answer the connection would stay open.")
	w.line("deny_info TCP_RESET crowd")
	w.line("http_access deny crowd")
	c.strangers(w)
	w.line("http_access deny !known_methods")
	w.line("http_access deny manager")
	w.line("http_access deny !connect !http_scheme")
	c.originAccess(w)
	denyOthers := func(requests, acl string, ports []int) {
		if len(ports) > 0 {
			requests += " !" + acl
		}
		w.line("http_access deny %s", requests)
	}
	denyOthers("!connect", "http_ports", c.HTTPPorts)
	denyOthers("connect", "connect_ports", c.ConnectPorts)
	c.domains(w)
	w.line("deny_info %s resolved", unresolvedPage)
	w.line("http_access deny !resolved")
	w.line("deny_info %s forbidden", prohibitedPage)
	w.line("http_access deny forbidden")
	w.line("http_access allow %s", c.admitted())
	w.line("http_access deny all")

	w.line("# Again at the moment when Squid picks the address to connect to: a name whose address has changed")
	w.line("# since the rules above goes nowhere.")
	c.originDirect(w)
	w.line("never_direct allow !resolved")
	w.line("never_direct allow forbidden")
}

// addresses writes an ACL of addresses, a block a line.
//
// It uses nothing of Squid's but plain blocks. Squid's names for a whole family mislead (tried with
// 5.7): "ipv4" matches no address, "ipv6" leaves out ::/4 and some more, and 0.0.0.0/0 is taken for
// both families. Of a range from one address to another that holds 0.0.0.0, or begins below it,
// Squid drops something. IPv4-mapped addresses are left out of IPv6 blocks, because Squid stores
// each IPv4 address as one: ::/1 would match all of them.
func addresses(w *writer, acl string, prefixes []netip.Prefix) {
	for _, p := range destination.Minimise(destination.WithoutMapped(prefixes)) {
		if p.Bits() == 0 { // IPv4: the other family is in pieces
			w.line("acl %s 0.0.0.0/1", acl)
			w.line("acl %s 128.0.0.0/1", acl)
			continue
		}
		w.line("acl %s %s", acl, p)
	}
}
