package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"squidfleet/params"
)

const (
	subnets     = "AWS::EC2::Subnet"
	association = "AWS::EC2::SubnetRouteTableAssociation"
	route       = "AWS::EC2::Route"
)

// networkPromises are about the way from a client to a task, and from there to a destination.
func (a *Assembly) networkPromises() []Promise {
	p, port, scheme := a.Params, fmt.Sprint(a.Params.ListenerPort), "internet-facing"
	if p.Endpoint == params.EndpointInternal {
		scheme = "internal"
	}
	entry, own := a.texts(balancer, "SecurityGroups.*"), []string{}
	var fromEntry, toTasks []string
	for _, group := range entry {
		fromEntry = append(fromEntry, "tcp "+port+" "+group)
	}
	for _, group := range a.texts(service, awsvpc+"SecurityGroups.*") {
		if !slices.Contains(entry, group) {
			own, toTasks = append(own, group), append(toTasks, "tcp "+port+" "+group)
		}
	}
	protocol, policy, certificate := "TCP", "^$", any(nil)
	idle := any(fmt.Sprint(p.IdleTimeout.Seconds()))
	if a.encrypted() {
		idle = nil // A TLS listener has a timeout of its own.
		protocol, policy = "TLS", "^ELBSecurityPolicy-TLS13-1-[23]-"
		certificate = cmp.Or(p.CertificateARN, a.one("AWS::CertificateManager::Certificate").ref())
	}
	enforced := any(nil)
	if len(p.PrivateLinkPrincipals) > 0 {
		enforced = "on"
	}
	return []Promise{
		{"clients", "docs/security.md", "security group admits `clientCidrs` and `clientSecurityGroups`", cmp.Or(
			a.matches(balancer, "SecurityGroups.0", "^⟨"), a.only(entry, "Ingress", a.clients()))},
		{"tasks", "docs/security.md", "Tasks accept connections from the load balancer's security group only", cmp.Or(
			a.is(service, awsvpc+"SecurityGroups", own), a.only(own, "Ingress", fromEntry))},
		{"egress", "docs/security.md", "all ports but 80, 443 and the parameters' (and 53 with `vpcId`)", cmp.Or(
			a.only(entry, "Egress", toTasks), a.only(own, "Egress", a.destinations()))},
		{"port", "docs/parameters.md", "TCP port of the load balancer and of Squid", cmp.Or(
			a.is(targets, "Port", port), a.is(task, box+"PortMappings.*.ContainerPort", port),
			a.is(service, "LoadBalancers.*.ContainerPort", port))},
		{"endpoint", "docs/parameters.md", "`internal`, with private addresses only", a.is(balancer, "Scheme", scheme)},
		{"tls", "docs/parameters.md", "with which the load balancer speaks TLS to clients, on all ports", cmp.Or(
			a.is(listener, "Protocol", protocol), a.matches(listener, "SslPolicy", policy),
			a.is(listener, "Certificates.*.CertificateArn", certificate))},
		{"private-link", "docs/parameters.md", "who may make PrivateLink endpoints that lead to the proxy", cmp.Or(
			a.is(balancer, "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", enforced),
			a.lists("AWS::EC2::VPCEndpointServicePermissions", "AllowedPrincipals.*", p.PrivateLinkPrincipals))},
		{"addresses", "docs/parameters.md", "`listenerPort` + 1 always leads to address 1, and so on", a.leads()},
		{"proxy-header", "docs/security.md", "puts a PROXY v2 header with the client's address before them", cmp.Or(
			a.is(targets, attribute+"proxy_protocol_v2.enabled", "true"),
			a.is(targets, attribute+"preserve_client_ip.enabled", "false"))},
		{"idle", "docs/parameters.md", "how long a connection may be silent before the load balancer forgets it",
			a.is(listener, "ListenerAttributes.tcp.idle_timeout.seconds", idle)},
		{"zones", "docs/security.md", "Each client reaches every task, whichever zone it comes in by", cmp.Or(
			a.is(balancer, "LoadBalancerAttributes.load_balancing.cross_zone.enabled", "true"),
			a.is(targets, attribute+"load_balancing.cross_zone.enabled", "true"), a.zones())},
		{"subnets", "docs/security.md", "believes that header from the load balancer's subnets only", a.apart()},
		{"routes", "docs/parameters.md", "has public subnets in two zones and nothing else", cmp.Or(
			a.lists(association, "SubnetId", a.references(subnets)),
			a.lists(association, "RouteTableId", a.texts(route, "RouteTableId")),
			a.is(route, "GatewayId", a.one("AWS::EC2::VPCGatewayAttachment").value("InternetGatewayId")),
			a.matches(route, "DestinationCidrBlock", `^(0\.0\.0\.0/0)?$`))},
		{"public-address", "README.md", "with a public address of its own",
			a.is(service, awsvpc+"AssignPublicIp", "ENABLED")},
	}
}

// flows writes what a rule permits, port by port.
func flows(protocol string, first, last int, peer string) (all []string) {
	for port := first; port <= min(last, 1<<16); port++ {
		all = append(all, fmt.Sprintf("%s %d %s", protocol, port, peer))
	}
	return all
}

// only wants security groups to permit flows in a direction and nothing else, by their own rules
// and by those that stand apart. Where none are wanted, another promise says why.
func (a *Assembly) only(groups []string, direction string, want []string) (found *Finding) {
	for _, group := range groups {
		rules := a.referred(group).values("SecurityGroup" + direction + ".*")
		for _, r := range a.all("AWS::EC2::SecurityGroup" + direction) {
			if r.text("GroupId") == group {
				rules = append(rules, r.properties)
			}
		}
		var got []string
		for _, rule := range rules {
			protocol := text(at(rule, "IpProtocol"))
			first, last := number(at(rule, "FromPort")), number(at(rule, "ToPort"))
			peer := text(at(rule, "CidrIp")) + text(at(rule, "CidrIpv6")) + text(at(rule, "SourceSecurityGroupId")) +
				text(at(rule, "DestinationSecurityGroupId"))
			switch other := fmt.Sprintf("%s %d/%d", protocol, first, last); {
			case protocol == "tcp", protocol == "udp":
				got = append(got, flows(protocol, first, last, peer)...)
			case rule != nil && other != "icmp 3/4" && other != "icmpv6 2/0": // which say that a packet is too large
				got = append(got, other+" "+peer)
			}
		}
		if d := unlike(got, want); d != "" && want != nil {
			found = a.referred(group).wrong("SecurityGroup%s: %s", direction, d)
		}
	}
	return found
}

// clients are the flows to the load balancer.
func (a *Assembly) clients() (want []string) {
	p := a.Params
	peers, last := slices.Clone(p.ClientSecurityGroups), p.ListenerPort
	for _, block := range p.ClientCidrs {
		peers = append(peers, block.String())
	}
	if p.AddressPorts {
		last += p.FleetSize
	}
	for _, peer := range peers {
		want = append(want, flows("tcp", p.ListenerPort, last, peer)...)
	}
	return want
}

// destinations are the flows from the tasks. An IPv6 address would be in no list of egress
// addresses.
func (a *Assembly) destinations() (want []string) {
	const anywhere = "0.0.0.0/0"
	p, open, ranges := a.Params, map[int]bool{}, 0
	for _, port := range slices.Concat(p.HTTPPorts, p.ConnectPorts, []int{80, 443}) {
		open[port] = true
	}
	for port := range open {
		want = append(want, flows("tcp", port, port, anywhere)...)
		if !open[port-1] {
			ranges++
		}
	}
	if ranges > 50 { // a group has no room for more
		want = flows("tcp", 1, 1<<16-1, anywhere)
	}
	if p.VpcID != "" { // it may have a resolver that is not Amazon's
		want = append(want, "tcp 53 "+anywhere, "udp 53 "+anywhere)
	}
	return want
}

// encrypted reports whether clients speak TLS.
func (a *Assembly) encrypted() bool { return a.Params.CertificateARN+a.Params.DomainName != "" }

// leads: the common port leads to every address, and the port of each address to that one alone.
func (a *Assembly) leads() *Finding {
	ports := map[string]string{} // by target group
	for _, l := range a.all(listener) {
		ports[l.text("DefaultActions.0.TargetGroupArn")] = l.text("Port")
	}
	return a.each(service, func(r *resource) string {
		var got []string
		for _, group := range texts(r.values("LoadBalancers.*.TargetGroupArn")) {
			got = append(got, ports[group])
		}
		if d := unlike(got, a.ports(r)); d != "" {
			return "LoadBalancers: of the listeners' ports it " + d
		}
		return ""
	})
}

// ports are those of the listeners that lead to an address. Its service has the number as a tag.
func (a *Assembly) ports(service *resource) []string {
	ports := []string{fmt.Sprint(a.Params.ListenerPort)}
	if a.Params.AddressPorts {
		ports = append(ports, fmt.Sprint(a.Params.ListenerPort+number(service.value("Tags."+params.AddressTag))))
	}
	return ports
}

// places returns the zones and the addresses of subnets: of the fleet's own VPC, or of public ones
// of an imported VPC, as the CDK CLI has found them. They are empty for any other.
func (a *Assembly) places(references []string) (zones []string, blocks []netip.Prefix) {
	zone, cidr := map[string]string{}, map[string]string{}
	for _, r := range a.all(subnets) {
		zone[r.ref()], cidr[r.ref()] = show(r.value("AvailabilityZone")), r.text("CidrBlock")
	}
	for _, group := range values(a.lookedUp(), "*.subnetGroups.*") {
		for _, s := range values(group, "subnets.*") {
			if id := text(at(s, "subnetId")); at(group, "type") == "Public" {
				zone[id], cidr[id] = text(at(s, "availabilityZone")), text(at(s, "cidr"))
			}
		}
	}
	for _, reference := range references {
		block, _ := netip.ParsePrefix(cidr[reference]) // in none of the blocks if it is none
		zones, blocks = append(zones, zone[reference]), append(blocks, block)
	}
	return zones, blocks
}

// lookedUp returns what the CDK CLI has found of the imported VPC.
func (a *Assembly) lookedUp() any {
	found := map[string]any{}
	for key, value := range a.lookups {
		if strings.Contains(key, "="+a.Params.VpcID+":") && strings.Contains(key, ":region="+a.region+":") {
			found[key] = value
		}
	}
	return found
}

// zones: each address may be in every zone of the load balancer's.
func (a *Assembly) zones() *Finding {
	entry, _ := a.places(a.texts(balancer, "Subnets.*"))
	return a.each(service, func(r *resource) string {
		zones, _ := a.places(texts(r.values(awsvpc + "Subnets.*")))
		if unlike(zones, entry) != "" || len(zones) != len(entry) || len(entry) < 2 {
			return fmt.Sprintf("has subnets in zones %v, the load balancer in %v: want one in each", zones, entry)
		}
		return ""
	})
}

// apart: PROXY headers are believed from where the load balancer is. In a VPC of the fleet's own,
// no task is there. In an imported one, all subnets are public. That none overlap is AWS's to find.
func (a *Assembly) apart() *Finding {
	_, entry := a.places(a.texts(balancer, "Subnets.*"))
	_, tasks := a.places(a.texts(service, awsvpc+"Subnets.*"))
	believed := a.blocks("load_balancer")
	shared := a.Params.VpcID == "" && slices.ContainsFunc(tasks, func(b netip.Prefix) bool { return hold(entry, b) })
	if shared || !hold(entry, believed...) || !hold(believed, entry...) {
		return a.wrong("PROXY headers are believed from %v, the load balancer is in %v and the tasks are in %v: want "+
			"the first two alike, the third apart, and public subnets of the fleet's VPC", believed, entry, tasks)
	}
	return nil
}

// hold reports whether blocks hold every address of others. None hold what is no valid block.
func hold(blocks []netip.Prefix, others ...netip.Prefix) bool {
	for _, other := range others {
		whole, part := false, false
		for _, b := range blocks {
			whole = whole || b.Bits() <= other.Bits() && b.Contains(other.Addr())
			part = part || b.Overlaps(other)
		}
		if !whole && !part {
			return false
		}
		if !whole { // Several may hold it together, each a part.
			middle := other.Addr().AsSlice()
			middle[other.Bits()/8] |= 0x80 >> (other.Bits() % 8)
			upper, _ := netip.AddrFromSlice(middle)
			half := other.Bits() + 1
			if !hold(blocks, netip.PrefixFrom(other.Addr(), half), netip.PrefixFrom(upper, half)) {
				return false
			}
		}
	}
	return true
}
