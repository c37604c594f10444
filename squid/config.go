// Package squid renders what a Squid of the fleet reads: its configuration, its Digest password
// file and its error pages.
//
// The configuration suits Squid 5.7 and 6 alike. All paths are relative to Squid's working
// directory, so the same files serve in the image and on a developer's machine.
package squid

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"squidfleet/destination"
)

// Config holds what differs between the Squids of two fleets. Render refuses what it cannot write
// safely.
type Config struct {
	// ListenAddress is the address of Squid's port. The zero value is every address of the machine.
	ListenAddress netip.Addr
	// ListenPort is Squid's port, 1 to 65535.
	ListenPort int
	// HealthPort is a port for the container's own health check, not ListenPort, on ListenAddress or
	// else 127.0.0.1. Requests to it are asked for a password, if there are any, refused, and not
	// logged. 0 is none.
	HealthPort int
	// OutgoingAddress is the source address of connections to destinations, or to LocalOrigin alone
	// where that is set. With the zero value the system chooses.
	OutgoingAddress netip.Addr
	// LoadBalancerCidrs are the only senders whose PROXY header is believed. At least one.
	LoadBalancerCidrs []netip.Prefix
	// ClientCidrs may use the proxy, by the address in the PROXY header. At least one.
	ClientCidrs []netip.Prefix
	// Auth is what clients are asked for. With AuthNone the four fields about Digest, realm and
	// files mean nothing.
	Auth Auth
	// Digest says who checks Digest. Basic is always checked as with DigestFleet.
	Digest Digest
	// Realm is shown in challenges; see CheckRealm.
	Realm string
	// PasswordFile is the password file, relative to Squid's working directory.
	PasswordFile string
	// KeyFile holds the keys of the nonces, relative to Squid's working directory. It is needed
	// where Auth.Nonces says so.
	KeyFile string
	// SocketFile is where the helper for Digest answers about Basic as well, relative to Squid's
	// working directory. AuthAny only.
	SocketFile string
	// HTTPPorts are the destination ports of plain requests, ConnectPorts those of CONNECT. An empty
	// list refuses all.
	HTTPPorts, ConnectPorts []int
	// VpcCidrs holds the ranges of the VPC that the task runs in; they are refused as destinations.
	VpcCidrs []netip.Prefix
	// BlockedCidrs holds further destinations to refuse.
	BlockedCidrs []netip.Prefix
	// AllowedPrivateCidrs holds private destinations that are wanted; see destination.CheckOpening.
	AllowedPrivateCidrs []netip.Prefix
	// AllowedDomains are the only names that clients may ask for, unless the list is empty.
	// BlockedDomains are refused in any case. See CheckDomain. No entry of a list holds another.
	AllowedDomains, BlockedDomains []string
	// LocalOrigin is one IPv4 loopback address and port to open although both are forbidden: the
	// origin of a fleet on one machine. Every other fleet has the zero value, which opens nothing.
	LocalOrigin netip.AddrPort
	// IPv4Only fails every connection to an IPv6 address at once, where the machine has IPv6 but
	// its firewall drops what leaves by it.
	IPv4Only bool
	// IdleTimeout is the load balancer's, at least MinIdleTimeout. Squid's limits end a silent
	// exchange IdleMargin earlier.
	IdleTimeout time.Duration
	// Memory is the task's, in MiB, at least MinMemory. It bounds Squid's open connections.
	Memory int
}

// Render returns the text of squid.conf. The same Config always gives the same text. The error
// holds every wrong field.
func (c Config) Render() (string, error) {
	if err := c.validate(); err != nil {
		return "", err
	}
	var w writer
	w.line("# Written by Squidfleet from its parameters. In each list of access rules the first match decides.")
	for _, section := range []func(*writer){c.entry, c.authentication, c.access, c.anonymity, c.proxyStatus, c.log,
		c.limits, c.process} {
		section(&w)
	}
	return w.text.String(), nil
}

// writer collects the lines of a configuration.
type writer struct{ text strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.text, format+"\n", args...) }

func (w *writer) section(title string) { w.line("\n# --- %s", title) }

// list writes one ACL with a value a line: a long list stays below Squid's limit of a line's length
// and reads well in a diff.
func list[T any](w *writer, acl string, values []T) {
	for _, v := range values {
		w.line("acl %s %v", acl, v)
	}
}

var relativePath = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)

func (c Config) validate() error {
	var problems []error
	wrong := func(path, format string, args ...any) {
		problems = append(problems, fmt.Errorf(path+": "+format, args...))
	}
	port := func(path string, p int) {
		if p < 1 || p > 65535 {
			wrong(path, "%d is not a port: give 1 to 65535", p)
		}
	}
	prefixes := func(path string, list []netip.Prefix) {
		for i, p := range list {
			switch {
			case !p.IsValid():
				wrong(fmt.Sprintf("%s[%d]", path, i), "no CIDR block")
			case p != p.Masked():
				wrong(fmt.Sprintf("%s[%d]", path, i), "%s has host bits set: give %s", p, p.Masked())
			case p.Addr().Is4In6():
				wrong(fmt.Sprintf("%s[%d]", path, i), "%s is an IPv4-mapped block: give the IPv4 block", p)
			}
		}
	}
	atLeastOne := func(path string, list []netip.Prefix) {
		if len(list) == 0 {
			wrong(path, "empty: nobody could get in")
		}
		prefixes(path, list)
	}

	port("listenPort", c.ListenPort)
	if c.HealthPort != 0 {
		port("healthPort", c.HealthPort)
		if c.HealthPort == c.ListenPort {
			wrong("healthPort", "%d is the clients' port: give another", c.HealthPort)
		}
	}
	atLeastOne("loadBalancerCidrs", c.LoadBalancerCidrs)
	atLeastOne("clientCidrs", c.ClientCidrs)
	file := func(path, name string) {
		if !relativePath.MatchString(name) || strings.Contains(name, "..") {
			wrong(path, "%q is not a plain path below the working directory", name)
		}
	}
	switch c.Auth {
	case AuthDigest, AuthBasic, AuthAny:
		if err := CheckRealm(c.Realm); err != nil {
			wrong("realm", "%w", err)
		}
		file("passwordFile", c.PasswordFile)
		if c.Digest != DigestFleet && c.Digest != DigestSquid {
			wrong("digest", "%q is neither %s nor %s", c.Digest, DigestFleet, DigestSquid)
		}
		if c.Auth.Nonces(c.Digest) {
			file("keyFile", c.KeyFile)
		}
		if c.Auth == AuthAny {
			file("socketFile", c.SocketFile)
		}
		if c.Auth.Basic() && c.Digest == DigestSquid {
			wrong("auth", "%s goes with digest %s only", c.Auth, DigestFleet)
		}
	case AuthNone:
	default:
		wrong("auth", "%q is none of %s, %s, %s and %s", c.Auth, AuthDigest, AuthBasic, AuthAny, AuthNone)
	}
	for i, p := range c.HTTPPorts {
		port(fmt.Sprintf("httpPorts[%d]", i), p)
	}
	for i, p := range c.ConnectPorts {
		port(fmt.Sprintf("connectPorts[%d]", i), p)
	}
	prefixes("vpcCidrs", c.VpcCidrs)
	prefixes("blockedCidrs", c.BlockedCidrs)
	for i, p := range c.AllowedPrivateCidrs {
		if err := destination.CheckOpening(p); err != nil {
			wrong(fmt.Sprintf("allowedPrivateCidrs[%d]", i), "%w", err)
		}
	}
	prefixes("allowedPrivateCidrs", c.AllowedPrivateCidrs)
	problems = append(problems, checkDomains("allowedDomains", c.AllowedDomains)...)
	problems = append(problems, checkDomains("blockedDomains", c.BlockedDomains)...)
	if o := c.LocalOrigin; o != (netip.AddrPort{}) && (!o.Addr().Is4() || !o.Addr().IsLoopback() || o.Port() == 0) {
		wrong("localOrigin", "%s is not an address of 127.0.0.0/8 and a port", o)
	}
	if c.IdleTimeout < MinIdleTimeout {
		wrong("idleTimeout", "%v is too little: give at least %v", c.IdleTimeout, MinIdleTimeout)
	}
	if c.Memory < MinMemory {
		wrong("memory", "%d MiB is too little: give at least %d", c.Memory, MinMemory)
	}
	return errors.Join(problems...)
}
