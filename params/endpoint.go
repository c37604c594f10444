package params

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Endpoint says from where the load balancer can be reached.
type Endpoint string

const (
	// EndpointPublic is a load balancer with public addresses.
	EndpointPublic Endpoint = "public"
	// EndpointInternal has private addresses only, for the VPC, its peers and PrivateLink.
	EndpointInternal Endpoint = "internal"
)

// TLS reports whether clients speak TLS to the load balancer.
func (p *Params) TLS() bool { return p.CertificateARN != "" || p.DomainName != "" }

// tlsIdleTimeout is the one that the load balancer's TLS listeners have
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html).
const tlsIdleTimeout = 350 * time.Second

// certified refuses a name without a certificate, and a zone without a name to put into it.
func certified(p *Params, refuse refusal) {
	switch {
	case p.DomainName == "" && p.HostedZoneID != "":
		refuse("hostedZoneId", "has no meaning without domainName; give the name that the proxy gets in the zone")
	case p.DomainName != "" && p.HostedZoneID == "" && p.CertificateARN == "":
		refuse("domainName", "%s needs a certificate; give hostedZoneId, the Route 53 zone in which one can be "+
			"validated, or the certificateArn of one that you have", p.DomainName)
	}
}

// idleOfTLS refuses an idle timeout that a TLS listener cannot have.
func idleOfTLS(p *Params, refuse refusal) {
	if p.TLS() && p.IdleTimeout != tlsIdleTimeout {
		refuse("idleTimeout", "%s cannot be set where clients speak TLS: the load balancer then always waits %s; "+
			"leave idleTimeout out, or certificateArn and domainName", format(p.IdleTimeout), format(tlsIdleTimeout))
	}
}

// linkInside and groupsInside refuse ways in that only an internal endpoint in a known VPC has.
func linkInside(p *Params, refuse refusal) {
	if len(p.PrivateLinkPrincipals) > 0 && p.Endpoint != EndpointInternal {
		refuse("privateLinkPrincipals", "PrivateLink leads to a load balancer without public addresses; give "+
			"endpoint=internal as well")
	}
}

func groupsInside(p *Params, refuse refusal) {
	if len(p.ClientSecurityGroups) > 0 && (p.Endpoint != EndpointInternal || p.VpcID == "") {
		refuse("clientSecurityGroups", "a group admits clients by their private addresses, inside the VPC; give "+
			"endpoint=internal and the vpcId of the groups as well, or clientCidrs instead")
	}
	// A security group holds 60 rules; a few are left for path MTU discovery and for your own.
	if n := len(p.ClientCidrs) + len(p.ClientSecurityGroups); n > mostClients {
		refuse("clientSecurityGroups", "clientCidrs and clientSecurityGroups are %d together; give at most %d, "+
			"because the load balancer's security group holds 60 rules", n, mostClients)
	}
}

// mostClients is how many blocks and groups of clients there may be.
const mostClients = 50

// Host is where clients connect if the fleet has a name of its own, and otherwise the host that the
// load balancer gives.
func (p *Params) Host(loadBalancer string) string {
	if p.DomainName != "" {
		return p.DomainName
	}
	return loadBalancer
}

// Scheme is that of the proxy's URL.
func (p *Params) Scheme() string {
	if p.TLS() {
		return "https"
	}
	return "http"
}

// Clients are the addresses that Squid serves: clientCidrs, and those inside the VPC where security
// groups admit clients.
func (p *Params) Clients(vpc []netip.Prefix) []netip.Prefix {
	if len(p.ClientSecurityGroups) == 0 {
		return p.ClientCidrs
	}
	return slices.Concat(p.ClientCidrs, vpc)
}

// otherPartition refuses ARNs of two partitions, of which only one can be the fleet's.
func otherPartition(earlier, later, path string, i int) string {
	of := func(arn string) string { return strings.SplitN(arn, ":", 3)[1] }
	if of(earlier) == of(later) {
		return ""
	}
	return fmt.Sprintf("%s is not in the partition %s as %s[%d] is; give principals of one", later, of(earlier), path,
		i)
}
