package params

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"squidfleet/destination"
	"squidfleet/squid"
)

// Warnings returns what is allowed but worth a warning at synth, one line each, path-first like
// the errors.
func (p *Params) Warnings() []string {
	var warnings []string
	warn := func(format string, arguments ...any) {
		warnings = append(warnings, fmt.Sprintf(format, arguments...))
	}
	if len(p.ClientSecurityGroups) == 0 &&
		!slices.ContainsFunc(p.ClientCidrs, func(c netip.Prefix) bool { return !documentation(c) }) {
		warn("clientCidrs: nobody can connect, because there are documentation ranges only (%s); "+
			"give the blocks your clients connect from", join(p.ClientCidrs))
	}
	wide := slices.DeleteFunc(slices.Clone(p.ClientCidrs), func(c netip.Prefix) bool { return !anyone(c) })
	if len(wide) > 0 {
		warn("clientCidrs: because of allowAnyClient=true the load balancer admits %s, "+
			"and only a password keeps strangers out", join(wide))
	}
	if p.plainBasic() {
		asks := "clients send their passwords in the clear"
		if p.Auth == squid.AuthAny {
			asks = "a client sends its password in the clear if it likes, or if somebody on the way asks it to"
		}
		warn("auth: because of allowPlaintextBasic=true %s; whoever reads one between a client and the load balancer "+
			"can use the proxy from any address in clientCidrs", asks)
	}
	if p.Digest == squid.DigestSquid {
		// Seen with 5.7 and 6.13: Squid keeps the result with the user, not the request.
		warn("digest: with squid, Squid often accepts a wrong password for a user whose requests it is " +
			"serving at that moment; use fleet")
	}
	if p.Digest == squid.DigestSquid && p.FleetSize > 1 {
		warn("digest: with squid, a client is challenged anew on each of the %d tasks, and one that closes "+
			"its connection after a challenge may never get in; use fleet, or fleetSize=1", p.FleetSize)
	}
	if p.CertificateARN != "" && p.DomainName == "" {
		warn("certificateArn: clients have to use a name of the certificate, because the load balancer's own is not " +
			"in it; give that name as domainName, so that it is printed")
	}
	if p.Endpoint != EndpointInternal {
		return warnings
	}
	if p.VpcID == "" && len(p.PrivateLinkPrincipals) == 0 {
		warn("endpoint: an internal one in the fleet's own VPC, where nothing else runs, can be reached from peered " +
			"networks only; give the vpcId of the clients' VPC, or privateLinkPrincipals")
	}
	for _, c := range p.ClientCidrs {
		if !c.Addr().IsPrivate() && !documentation(c) && !carrierGrade.Overlaps(c) {
			warn("clientCidrs: %s is public, and an internal endpoint sees private addresses of clients; give those", c)
		}
	}
	return warnings
}

// carrierGrade is a shared range that VPCs may have (RFC 6598).
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// documentation reports whether a block lies in a documentation range (RFC 5737, RFC 3849, RFC
// 9637).
func documentation(c netip.Prefix) bool {
	return slices.ContainsFunc(destination.Ranges(), func(r destination.Range) bool {
		return strings.HasPrefix(r.Name, "Documentation") && contains(r.Prefix, c)
	})
}

func join(prefixes []netip.Prefix) string { return strings.Join(words(prefixes), ", ") }
