package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// checkFirewalls: clients reach the load balancer and nobody else does; the load balancer reaches the tasks and nobody else does; the tasks reach the destinations' ports and no others.
func (f *fleet) checkFirewalls() {
	lb, tasks := f.loadBalancerFirewall, f.taskFirewall
	if lb == tasks && lb.there() {
		f.at(lb, "firewall", "is that of the load balancer and of the tasks; each needs one of its own")
	}
	f.want(lb, "firewall", "", object{"GroupDescription": "Load balancer of the proxy", "VpcId": f.vpc()})
	f.want(tasks, "firewall", "", object{"GroupDescription": "Tasks of the proxy", "VpcId": f.vpc()})
	port := portRange{f.ListenerPort, f.ListenerPort}

	var clients []flow
	for _, c := range f.ClientCidrs {
		clients = append(clients, flow{"tcp", port, c.Masked().String(), "clientCidrs"})
	}
	f.flows(lb, "firewall-clients", "SecurityGroupIngress", "clientCidrs and nobody else may connect", clients)
	f.flows(lb, "firewall-clients", "SecurityGroupEgress", "a load balancer's group without this rule may send anywhere", []flow{{"tcp", port, tasks.att("GroupId"), "to the tasks, health checks included"}})
	f.flows(tasks, "firewall-tasks", "SecurityGroupIngress", "whoever else reaches a task can claim any client address in a PROXY header", []flow{{"tcp", port, lb.att("GroupId"), "from the load balancer, health checks included"}})
	f.flows(tasks, "firewall-tasks", "SecurityGroupEgress", "the ports of the destinations, 443 for the image, the passwords and the log, and 80 for the question after the own address", f.taskEgress())
}

type portRange struct{ first, last int }

// flow is a direction that a security group permits.
type flow struct {
	protocol string
	ports    portRange
	peer     string // a CIDR block or a group
	label    string // the rule's description, for people
}

func (f flow) String() string {
	return fmt.Sprintf("%s %d-%d %s (%s)", f.protocol, f.ports.first, f.ports.last, show(f.peer), f.label)
}

// maxRanges is how many ranges of ports to destinations are kept apart; more do not fit into a security group and are left to Squid.
const maxRanges = 50

func (f *fleet) taskEgress() []flow {
	var ports []portRange
	all := slices.Concat(f.HTTPPorts, f.ConnectPorts, []int{443, 80})
	slices.Sort(all)
	for _, port := range all {
		if n := len(ports); n > 0 && port <= ports[n-1].last+1 {
			ports[n-1].last = port
			continue
		}
		ports = append(ports, portRange{port, port})
	}
	if len(ports) > maxRanges {
		ports = []portRange{{1, 65535}}
	}
	var flows []flow
	everywhere := func(protocol, label string, ports portRange) {
		flows = append(flows, flow{protocol, ports, "0.0.0.0/0", label})
		if f.network == nil { // in a VPC of the fleet's own, tasks have no IPv6 addresses
			flows = append(flows, flow{protocol, ports, "::/0", label})
		}
	}
	for _, r := range ports {
		everywhere("tcp", "destinations of the proxy", r)
	}
	if f.network == nil { // names: in a VPC of the fleet's own they go to Amazon's resolver, which groups do not see
		everywhere("udp", "names", portRange{53, 53})
		everywhere("tcp", "names", portRange{53, 53})
	}
	return flows
}

// flows compares what a group permits in a direction, by its own property and by rules that stand apart, with what it should.
func (f *fleet) flows(group *resource, rule, property, why string, want []flow) {
	if !group.there() {
		f.report(f.proxy.Name, none, rule, "%s: there is no such group: %s", property, why)
		return
	}
	group.known[property] = true
	var got []flow
	inline, given := group.properties[property]
	items, isList := inline.([]any)
	if given && !isList {
		f.at(group, rule, "Properties.%s: is no list", property)
	}
	for i, item := range items {
		tree, _ := item.(map[string]any)
		if peer, ok := f.flow(group, rule, fmt.Sprintf("Properties.%s[%d]", property, i), tree); ok {
			got = append(got, peer)
		}
	}
	for _, r := range f.all("AWS::EC2::" + property) {
		if r.properties["GroupId"] != group.att("GroupId") {
			continue
		}
		r.claimed = true
		rest := map[string]any{}
		for name, value := range r.properties {
			r.known[name] = true
			if name != "GroupId" {
				rest[name] = value
			}
		}
		if peer, ok := f.flow(r, rule, "Properties", rest); ok {
			got = append(got, peer)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			f.at(group, rule, "%s: lacks %s: %s", property, w, why)
		}
	}
	for i, g := range got {
		if !slices.Contains(want, g) {
			f.at(group, rule, "%s: admits %s, want it left out: %s", property, g, why)
		} else if slices.Contains(got[:i], g) {
			f.at(group, rule, "%s: admits %s twice, which EC2 refuses", property, g)
		}
	}
}

// flow reads a rule of a security group.
func (f *fleet) flow(r *resource, rule, path string, properties map[string]any) (flow, bool) {
	var w flow
	var peers []string
	first, ok := number(properties["FromPort"])
	last, isNumber := number(properties["ToPort"])
	w.ports, ok = portRange{first, last}, ok && isNumber
	for name, value := range properties {
		s, isText := value.(string)
		ok = ok && isText
		switch name {
		case "FromPort", "ToPort":
		case "Description":
			w.label = s
		case "IpProtocol":
			w.protocol = s
		case "CidrIp", "CidrIpv6":
			p, err := netip.ParsePrefix(s)
			ok = ok && err == nil && s == p.Masked().String() && p.Addr().Is4() == (name == "CidrIp")
			peers = append(peers, s)
		case "SourceSecurityGroupId", "DestinationSecurityGroupId":
			peers = append(peers, s)
		default:
			ok = false
		}
	}
	if !ok || len(peers) != 1 {
		f.at(r, rule, "%s: %s is not one protocol, range of ports and peer", path, show(properties))
		return w, false
	}
	w.peer = peers[0]
	return w, true
}

func number(v any) (int, bool) {
	s, _ := v.(string)
	n, err := strconv.Atoi(s)
	return n, err == nil
}
