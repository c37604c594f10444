package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"squidfleet/params"
)

// groups returns the security groups at a path of the resources of a type.
func (a *Assembly) groups(kind, path string) (groups []*resource) {
	for _, r := range a.all(kind) {
		for _, v := range r.list(path) {
			if g := a.referred(v); !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
		}
	}
	return groups
}

func (a *Assembly) entryGroups() []*resource { return a.groups(balancer, "SecurityGroups") }
func (a *Assembly) taskGroups() []*resource  { return a.groups(service, awsvpc+"SecurityGroups") }

// flow is what a rule of a security group permits, for one port.
func flow(protocol, port, peer any) string { return fmt.Sprintf("%v %v %v", protocol, port, peer) }

// flows returns what a group permits in a direction port by port, by its own rules and by those
// that stand apart.
func (a *Assembly) flows(group *resource, direction string) (flows []string) {
	rules := group.list("SecurityGroup" + direction)
	for _, r := range a.all("AWS::EC2::SecurityGroup" + direction) {
		if a.referred(r.value("GroupId")) == group {
			rules = append(rules, r.properties)
		}
	}
	for _, rule := range rules {
		peer := ""
		for _, key := range []string{"CidrIp", "CidrIpv6", "SourceSecurityGroupId", "DestinationSecurityGroupId"} {
			peer += text(at(rule, key))
		}
		low, high := number(at(rule, "FromPort")), number(at(rule, "ToPort"))
		if protocol := text(at(rule, "IpProtocol")); strings.HasPrefix(protocol, "icmp") {
			flows = append(flows, flow(protocol, fmt.Sprint(low, "/", high), peer)) // a type and a code
			continue
		}
		if peer == "" || low < 1 || high > 65535 {
			low, high, peer = 0, 0, show(rule) // is wanted nowhere
		}
		for port := low; port <= high; port++ {
			flows = append(flows, flow(at(rule, "IpProtocol"), port, peer))
		}
	}
	return flows
}

// only wants groups to permit flows in a direction and nothing else.
func (a *Assembly) only(groups []*resource, direction string, want []string) *Finding {
	for _, g := range groups {
		if d := unlike(a.flows(g, direction), want); d != "" {
			return g.wrong("SecurityGroup%s: %s", direction, d)
		}
	}
	return nil
}

func clientsOnly(a *Assembly) *Finding {
	if len(a.entryGroups()) == 0 {
		return a.template("the load balancer has no security group, and admits everybody")
	}
	// Besides, from anybody: a packet is too large for the way to a client.
	want := []string{flow("icmp", "3/4", "0.0.0.0/0")}
	clients := slices.Clone(a.Params.ClientSecurityGroups)
	for _, block := range a.Params.ClientCidrs {
		clients = append(clients, block.Masked().String())
		if block.Addr().Is6() {
			want = append(want, flow("icmpv6", "2/0", "::/0"))
		}
	}
	for _, client := range clients {
		for number := range a.Params.FleetSize + 1 {
			if number == 0 || a.Params.AddressPorts {
				want = append(want, flow("tcp", a.Params.ListenerPort+number, client))
			}
		}
	}
	return a.only(a.entryGroups(), "Ingress", want)
}

func tasksOnly(a *Assembly) *Finding {
	if len(a.taskGroups()) == 0 {
		return a.template("the tasks have no security group of their own")
	}
	var want []string
	for _, g := range a.entryGroups() {
		if slices.Contains(a.taskGroups(), g) {
			return g.wrong("is the group of the load balancer and of the tasks: clients reach tasks directly")
		}
		want = append(want, flow("tcp", a.Params.ListenerPort, g.att("GroupId")))
	}
	if want == nil {
		return nil // told already
	}
	return a.only(a.taskGroups(), "Ingress", want)
}

func egressPorts(a *Assembly) *Finding {
	var toTasks []string
	for _, g := range a.taskGroups() {
		if slices.Contains(a.entryGroups(), g) {
			return nil // told already
		}
		toTasks = append(toTasks, flow("tcp", a.Params.ListenerPort, g.att("GroupId")))
	}
	ports, ranges := map[int]bool{}, 0
	for _, port := range slices.Concat(a.Params.HTTPPorts, a.Params.ConnectPorts, []int{80, 443}) {
		ports[port] = true
	}
	for port := range ports {
		if !ports[port-1] {
			ranges++
		}
	}
	for port := 1; port < 1<<16 && ranges > 50; port++ { // a group has no room for more
		ports[port] = true
	}
	const all4 = "0.0.0.0/0" // an IPv6 address would be in no list of egress addresses
	var want []string
	if a.Params.VpcID != "" { // it may have a resolver that is not Amazon's
		ports[53], want = true, []string{flow("udp", 53, all4)}
	}
	for port := range ports {
		want = append(want, flow("tcp", port, all4))
	}
	return all(func(a *Assembly) *Finding { return a.only(a.entryGroups(), "Egress", toTasks) },
		func(a *Assembly) *Finding { return a.only(a.taskGroups(), "Egress", want) })(a)
}

// number is an address's, which its service has as a tag.
func (r *resource) number() int { return number(r.value("Tags." + params.AddressTag)) }

// leads: the common port leads to every address by the first target group of its service, and the
// port of each address to that one alone by the second.
func leads(a *Assembly) *Finding {
	tasks := map[any][]string{} // of a target group: address and place among the groups of its service
	for _, s := range a.all(service) {
		for i, entry := range s.list("LoadBalancers") {
			if group := at(entry, "TargetGroupArn"); number(at(entry, "ContainerPort")) == a.Params.ListenerPort {
				tasks[group] = append(tasks[group], fmt.Sprintf("%d (%d)", s.number(), i))
			}
		}
	}
	lead := func(port any, tasks []string) string {
		slices.Sort(tasks)
		return fmt.Sprintf("port %v to the addresses %q", port, tasks)
	}
	var got, want, common []string
	for _, l := range a.all(listener) {
		group := l.value("DefaultActions.0.TargetGroupArn")
		got = append(got, lead(l.text("Port"), tasks[group]))
	}
	for k := 1; k <= a.Params.FleetSize; k++ {
		common = append(common, fmt.Sprintf("%d (0)", k))
		if a.Params.AddressPorts {
			want = append(want, lead(a.Params.ListenerPort+k, []string{fmt.Sprintf("%d (1)", k)}))
		}
	}
	if d := unlike(got, append(want, lead(a.Params.ListenerPort, common))); d != "" {
		return a.template("the load balancer %s", d)
	}
	return nil
}

// subnet is a subnet of the fleet's VPC.
type subnet struct {
	id, zone string
	block    netip.Prefix
}

// subnets are those at a path of some resources. What is not known of one is empty.
func (a *Assembly) subnets(of []*resource, path string) (found []subnet) {
	for _, r := range of {
		for _, v := range r.list(path) {
			s := subnet{id: show(v)}
			if r := a.referred(v); r.kind == "AWS::EC2::Subnet" {
				block, _ := netip.ParsePrefix(r.text("CidrBlock"))
				s = subnet{r.id, show(r.value("AvailabilityZone")), block}
			}
			for _, public := range a.lookedUp() {
				if public.id == v {
					s = public
				}
			}
			if !slices.Contains(found, s) {
				found = append(found, s)
			}
		}
	}
	return found
}

func (a *Assembly) entrySubnets() []subnet { return a.subnets(a.all(balancer), "Subnets") }
func (a *Assembly) taskSubnets() []subnet  { return a.subnets(a.all(service), awsvpc+"Subnets") }

// lookedUp returns the public subnets of an imported VPC, as the CDK CLI has found them.
func (a *Assembly) lookedUp() (public []subnet) {
	for key, value := range a.lookups {
		which := "account=" + a.account + ":filter.vpc-id=" + a.Params.VpcID + ":region=" + a.region + ":"
		if a.Params.VpcID == "" || !strings.HasPrefix(key, "vpc-provider:"+which) {
			continue
		}
		for _, group := range list(at(value, "subnetGroups")) {
			for _, s := range list(at(group, "subnets")) {
				if block, err := netip.ParsePrefix(text(at(s, "cidr"))); err == nil && at(group, "type") == "Public" {
					public = append(public, subnet{text(at(s, "subnetId")), text(at(s, "availabilityZone")), block})
				}
			}
		}
	}
	return public
}

// sameZones: each address may be in every zone of the load balancer's.
func sameZones(a *Assembly) *Finding {
	zones := func(subnets []subnet) (all []string) {
		for _, s := range subnets {
			all = append(all, s.zone)
		}
		slices.Sort(all)
		return all
	}
	entry := zones(a.entrySubnets())
	return each(service, func(a *Assembly, r *resource) *Finding {
		tasks := zones(a.subnets([]*resource{r}, awsvpc+"Subnets"))
		if !slices.Equal(tasks, entry) || len(slices.Compact(tasks)) != len(entry) || len(entry) < 2 {
			return r.wrong("has subnets in zones %v, the load balancer in %v: want one in each", tasks, entry)
		}
		return nil
	})(a)
}

func addresses(subnets []subnet) (blocks []netip.Prefix) {
	for _, s := range subnets {
		blocks = append(blocks, s.block)
	}
	return merged(blocks)
}

// merged returns the fewest blocks with the same addresses, in order. What is no block is left out,
// and found missing.
func merged(blocks []netip.Prefix) (fewest []netip.Prefix) {
	for _, b := range slices.SortedFunc(slices.Values(blocks), netip.Prefix.Compare) {
		n := len(fewest)
		if !b.IsValid() || n > 0 && fewest[n-1].Overlaps(b) {
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

// subnetsApart: in a VPC of the fleet's own, no task has an address from which PROXY headers
// are believed. In an imported one, all subnets are public. That none overlap is AWS's to find.
func subnetsApart(a *Assembly) *Finding {
	entry, tasks := a.entrySubnets(), a.taskSubnets()
	for _, s := range append(slices.Clone(entry), tasks...) {
		if !s.block.IsValid() {
			return a.template("%s is no public subnet of the fleet's VPC", s.id)
		}
	}
	if a.Params.VpcID != "" {
		return nil
	}
	for _, block := range a.believed() {
		if slices.ContainsFunc(addresses(tasks), block.Overlaps) &&
			!slices.ContainsFunc(addresses(entry), block.Overlaps) {
			return a.template("the load balancer's subnets and the tasks' have changed places: PROXY headers are "+
				"believed from %s, where the tasks are and the load balancer is not", block)
		}
	}
	for _, s := range entry {
		if slices.Contains(tasks, s) {
			return a.template("%s is the load balancer's and the tasks': a task could pass for the load balancer", s.id)
		}
	}
	return nil
}

// routed: each subnet has one table, whose default routes lead to the internet gateway and
// which has no others.
func routed(a *Assembly) *Finding {
	gateway := ""
	for _, r := range a.all("AWS::EC2::VPCGatewayAttachment") {
		gateway = r.text("InternetGatewayId")
	}
	return each("AWS::EC2::Subnet", func(a *Assembly, s *resource) *Finding {
		var tables, got []string
		for _, r := range a.all("AWS::EC2::SubnetRouteTableAssociation") {
			if r.value("SubnetId") == s.ref() {
				tables = append(tables, r.text("RouteTableId"))
			}
		}
		for _, r := range a.all("AWS::EC2::Route") {
			if slices.Contains(tables, r.text("RouteTableId")) {
				to := r.text("DestinationCidrBlock") + r.text("DestinationIpv6CidrBlock")
				got = append(got, to+" to "+r.text("GatewayId"))
			}
		}
		want := []string{"0.0.0.0/0 to " + gateway}
		if s.value("Ipv6CidrBlock") != nil {
			want = append(want, "::/0 to "+gateway)
		}
		if len(tables) != 1 || unlike(got, want) != "" {
			return s.wrong("has %d route tables with routes %v, want one with %v", len(tables), got, want)
		}
		return nil
	})(a)
}
