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
	certificate = "AWS::CertificateManager::Certificate"
	record      = "AWS::Route53::RecordSet"
	link        = "AWS::EC2::VPCEndpointService"
	permissions = "AWS::EC2::VPCEndpointServicePermissions"
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
		{"tls", "docs/parameters.md", "with which the load balancer speaks TLS to clients, on all ports", a.encrypts()},
		{"name", "docs/parameters.md", "name of the proxy; it gets an alias record", a.aliases()},
		{"private-link", "docs/parameters.md", "who may make PrivateLink endpoints that lead to the proxy", a.links()},
		{"addresses", "docs/parameters.md", "`listenerPort` + 1 always leads to address 1, and so on", a.leads()},
		{"proxy-header", "docs/security.md", "puts a PROXY v2 header with the client's address before them", cmp.Or(
			a.is(targets, attribute+"proxy_protocol_v2.enabled", "true"),
			a.is(targets, attribute+"preserve_client_ip.enabled", "false"))},
		{"zones", "docs/security.md", "Each client reaches every task, whichever zone it comes in by", cmp.Or(
			a.is(balancer, "LoadBalancerAttributes.load_balancing.cross_zone.enabled", "true"),
			a.is(targets, attribute+"load_balancing.cross_zone.enabled", "true"), a.zones())},
		{"subnets", "docs/security.md", "believes that header from the load balancer's subnets only", a.apart()},
		{"routes", "docs/parameters.md", "has public subnets in two zones and nothing else", a.routes()},
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
			if protocol == "tcp" || protocol == "udp" {
				got = append(got, flows(protocol, first, last, peer)...)
			} else if rule != nil { // of ICMP: a type and a code
				got = append(got, fmt.Sprintf("%s %d/%d %s", protocol, first, last, peer))
			}
		}
		if d := unlike(got, want); d != "" && want != nil {
			found = a.referred(group).wrong("SecurityGroup%s: %s", direction, d)
		}
	}
	return found
}

// clients are the flows to the load balancer.
func (a *Assembly) clients() []string {
	p := a.Params
	want := []string{"icmp 3/4 0.0.0.0/0"} // from anybody: a packet is too large for the way to a client
	peers, last := slices.Clone(p.ClientSecurityGroups), p.ListenerPort
	for _, block := range p.ClientCidrs {
		peers = append(peers, block.Masked().String())
		if block.Addr().Is6() {
			want = append(want, "icmpv6 2/0 ::/0")
		}
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

// encrypts: all listeners have the certificate, or none has one.
func (a *Assembly) encrypts() *Finding {
	p := a.Params
	if !a.encrypted() {
		return cmp.Or(a.is(listener, "Protocol", "TCP"), a.none(listener, "Certificates", "SslPolicy"))
	}
	return cmp.Or(a.is(listener, "Protocol", "TLS"), a.none(listener, "Certificates.1"),
		a.is(listener, "Certificates.0.CertificateArn", cmp.Or(p.CertificateARN, a.one(certificate).ref())),
		a.matches(listener, "SslPolicy", `^ELBSecurityPolicy-TLS13-1-[23]-(?:Res-)?PQ-`),
		a.is(certificate, "DomainName", p.DomainName), a.is(certificate, "ValidationMethod", "DNS"),
		a.is(certificate, "DomainValidationOptions.0.HostedZoneId", p.HostedZoneID))
}

// aliases: the fleet's name, and no other, leads to the load balancer, in each of its families.
func (a *Assembly) aliases() *Finding {
	p, families := a.Params, []string{"A"}
	if slices.ContainsFunc(p.ClientCidrs, func(c netip.Prefix) bool { return c.Addr().Is6() }) {
		families = append(families, "AAAA")
	}
	if p.HostedZoneID == "" {
		families = nil
	}
	return cmp.Or(a.lists(record, "Type", families), a.is(record, "Name", p.DomainName),
		a.is(record, "HostedZoneId", p.HostedZoneID),
		a.is(record, "AliasTarget.DNSName", a.one(balancer).att("DNSName")))
}

// links: endpoints of the principals alone lead to the load balancer, which looks at their clients.
func (a *Assembly) links() *Finding {
	if principals := a.Params.PrivateLinkPrincipals; len(principals) > 0 {
		return cmp.Or(a.is(balancer, "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", "on"),
			a.is(link, "NetworkLoadBalancerArns.*", a.one(balancer).ref()),
			a.is(permissions, "ServiceId", a.one(link).ref()),
			a.lists(permissions, "AllowedPrincipals.*", principals))
	}
	return a.lists(link, "NetworkLoadBalancerArns.*", nil)
}

// number is an address's, which its service has as a tag.
func (r *resource) number() int { return number(r.value("Tags." + params.AddressTag)) }

// leads: the common port leads to every address by the first target group of its service, and the
// port of each address to that one alone by the second.
func (a *Assembly) leads() *Finding {
	p, ports := a.Params, map[string]string{} // by target group
	for _, l := range a.all(listener) {
		ports[l.text("DefaultActions.0.TargetGroupArn")] = l.text("Port")
	}
	var got, want []string
	for _, s := range a.all(service) {
		to := fmt.Sprintf("address %d at", s.number())
		for _, group := range texts(s.values("LoadBalancers.*.TargetGroupArn")) {
			to += " " + ports[group]
		}
		got = append(got, to)
	}
	listeners := 1
	for k := 1; k <= p.FleetSize; k++ {
		to := fmt.Sprintf("address %d at %d", k, p.ListenerPort)
		if p.AddressPorts {
			to, listeners = fmt.Sprintf("%s %d", to, p.ListenerPort+k), listeners+1
		}
		want = append(want, to)
	}
	if d := unlike(got, want); d != "" || len(got) != len(want) || len(a.all(listener)) != listeners {
		return a.wrong("the load balancer has %d ports, want %d, for %d addresses; %s", len(a.all(listener)),
			listeners, len(got), d)
	}
	return nil
}

// subnets returns the zones and the addresses of subnets: of the fleet's own VPC, or of public ones
// of an imported VPC, as the CDK CLI has found them. They are empty for any other.
func (a *Assembly) subnets(references []string) (zones []string, blocks []netip.Prefix) {
	zone, cidr := map[string]string{}, map[string]string{}
	for _, r := range a.all(subnets) {
		zone[r.ref()], cidr[r.ref()] = show(r.value("AvailabilityZone")), r.text("CidrBlock")
	}
	which := "vpc-provider:account=" + a.account + ":filter.vpc-id=" + a.Params.VpcID + ":region=" + a.region + ":"
	for key, vpc := range a.lookups {
		for _, group := range values(vpc, "subnetGroups.*") {
			for _, s := range values(group, "subnets.*") {
				if id := text(at(s, "subnetId")); strings.HasPrefix(key, which) && at(group, "type") == "Public" {
					zone[id], cidr[id] = text(at(s, "availabilityZone")), text(at(s, "cidr"))
				}
			}
		}
	}
	for _, reference := range references {
		zones, blocks = append(zones, zone[reference]), append(blocks, block(cidr[reference]))
	}
	return zones, blocks
}

// zones: each address may be in every zone of the load balancer's.
func (a *Assembly) zones() *Finding {
	entry, _ := a.subnets(a.texts(balancer, "Subnets.*"))
	return a.each(service, func(r *resource) string {
		zones, _ := a.subnets(texts(r.values(awsvpc + "Subnets.*")))
		if unlike(zones, entry) != "" || len(zones) != len(entry) || len(entry) < 2 {
			return fmt.Sprintf("has subnets in zones %v, the load balancer in %v: want one in each", zones, entry)
		}
		return ""
	})
}

// apart: PROXY headers are believed from where the load balancer is. In a VPC of the fleet's own,
// no task is there. In an imported one, all subnets are public. That none overlap is AWS's to find.
func (a *Assembly) apart() *Finding {
	_, entry := a.subnets(a.texts(balancer, "Subnets.*"))
	_, tasks := a.subnets(a.texts(service, awsvpc+"Subnets.*"))
	believed := a.blocks("load_balancer")
	shared := a.Params.VpcID == "" && slices.ContainsFunc(entry, func(b netip.Prefix) bool {
		return slices.Contains(tasks, b)
	})
	known := !slices.Contains(slices.Concat(entry, tasks), netip.Prefix{})
	if shared || !known || !slices.Equal(merged(believed), merged(entry)) {
		return a.wrong("PROXY headers are believed from %v, the load balancer is in %v and the tasks are in %v: want "+
			"the first two alike, the third apart, and public subnets of the fleet's VPC", believed, entry, tasks)
	}
	return nil
}

// block reads an address or a block of them. What is neither is no valid block.
func block(text string) netip.Prefix {
	b, err := netip.ParsePrefix(text)
	if addr, notAddr := netip.ParseAddr(text); err != nil && notAddr == nil {
		b = netip.PrefixFrom(addr, addr.BitLen())
	}
	return b
}

// merged returns the fewest blocks with the same addresses, in order. What is no block stays, so
// that it is found.
func merged(blocks []netip.Prefix) (fewest []netip.Prefix) {
	for _, b := range slices.SortedFunc(slices.Values(blocks), netip.Prefix.Compare) {
		n := len(fewest)
		if n > 0 && fewest[n-1].Overlaps(b) {
			continue
		}
		fewest = append(fewest, b.Masked())
		for ; n > 0 && fewest[n-1].Bits() == fewest[n].Bits(); n-- {
			both, _ := fewest[n].Addr().Prefix(fewest[n].Bits() - 1) // invalid, and without addresses, for /0
			if !both.Contains(fewest[n-1].Addr()) {
				break
			}
			fewest = append(fewest[:n-1], both)
		}
	}
	return fewest
}

// routes: the routes of each subnet are the default ones to the internet gateway.
func (a *Assembly) routes() *Finding {
	gateway := a.one("AWS::EC2::VPCGatewayAttachment").text("InternetGatewayId")
	return a.each(subnets, func(s *resource) string {
		var got []string
		for _, of := range a.all("AWS::EC2::SubnetRouteTableAssociation") {
			for _, r := range a.all("AWS::EC2::Route") {
				if of.text("SubnetId") == s.ref() && r.text("RouteTableId") == of.text("RouteTableId") {
					to := r.text("DestinationCidrBlock") + r.text("DestinationIpv6CidrBlock")
					got = append(got, to+" to "+r.text("GatewayId"))
				}
			}
		}
		want := []string{"0.0.0.0/0 to " + gateway}
		if s.value("Ipv6CidrBlock") != nil {
			want = append(want, "::/0 to "+gateway)
		}
		return unlike(got, want)
	})
}
