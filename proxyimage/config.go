package proxyimage

import (
	"net/netip"

	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// Network is what the image has to know of the network that its tasks run in.
type Network struct {
	// LoadBalancerCidrs holds the load balancer's own addresses; PROXY headers are believed from there alone.
	LoadBalancerCidrs []netip.Prefix
	// VpcCidrs holds the ranges of the VPC; they are refused as destinations.
	VpcCidrs []netip.Prefix
}

// Config is the configuration of the fleet's Squids: the parameters, and the paths inside the image.
func Config(p *params.Params, n Network) squid.Config {
	passwords := container.RunPasswords
	if p.Credentials == container.CredentialsImage {
		passwords = container.Passwords
	}
	return squid.Config{
		ListenPort:          p.ListenerPort,
		HealthPort:          healthPort(p.ListenerPort),
		LoadBalancerCidrs:   n.LoadBalancerCidrs,
		ClientCidrs:         p.ClientCidrs,
		Digest:              p.Digest,
		Realm:               p.Realm,
		PasswordFile:        passwords,
		KeyFile:             container.RunKeys,
		HTTPPorts:           p.HTTPPorts,
		ConnectPorts:        p.ConnectPorts,
		VpcCidrs:            n.VpcCidrs,
		BlockedCidrs:        p.BlockedCidrs,
		AllowedPrivateCidrs: p.AllowedPrivateCidrs,
		Memory:              p.Memory,
	}
}

// healthPort is the neighbour of the clients' port, so that there is nothing more to choose.
func healthPort(listener int) int {
	if listener == 65535 {
		return listener - 1
	}
	return listener + 1
}
