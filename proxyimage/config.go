package proxyimage

import (
	"net/netip"

	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// Network describes the network in which the image's tasks run.
type Network struct {
	// LoadBalancerCidrs holds the load balancer's own addresses. Squid believes PROXY headers
	// from these only.
	LoadBalancerCidrs []netip.Prefix
	// VpcCidrs holds the ranges of the VPC. Squid refuses them as destinations.
	VpcCidrs []netip.Prefix
}

// Config returns the configuration of the fleet's Squids, with the paths inside the image.
func Config(p *params.Params, n Network) squid.Config {
	passwords := container.RunPasswords
	if p.Credentials == container.CredentialsImage {
		passwords = container.Passwords
	}
	return squid.Config{
		ListenPort:          p.ListenerPort,
		HealthPort:          healthPort(p.ListenerPort),
		LoadBalancerCidrs:   n.LoadBalancerCidrs,
		ClientCidrs:         p.Clients(n.VpcCidrs),
		Auth:                p.Auth,
		Digest:              p.Digest,
		Realm:               p.Realm,
		PasswordFile:        passwords,
		KeyFile:             container.RunKeys,
		SocketFile:          container.RunSocket,
		HTTPPorts:           p.HTTPPorts,
		ConnectPorts:        p.ConnectPorts,
		AllowedDomains:      p.AllowedDomains,
		BlockedDomains:      p.BlockedDomains,
		VpcCidrs:            n.VpcCidrs,
		BlockedCidrs:        p.BlockedCidrs,
		AllowedPrivateCidrs: p.AllowedPrivateCidrs,
		IdleTimeout:         p.IdleTimeout,
		// The tasks of an existing VPC may have IPv6, which their security group does not let out.
		IPv4Only: p.VpcID != "",
		Memory:   p.Memory,
	}
}

// healthPort returns a neighbour of the clients' port, so that it needs no parameter.
func healthPort(listener int) int {
	if listener == 65535 {
		return listener - 1
	}
	return listener + 1
}
