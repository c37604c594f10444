package stacks

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// firewall admits only the clients to the load balancer, and only the load balancer to the tasks.
// A client that reached a task directly could claim any client address in a PROXY header.
//
// It is made of CloudFormation's own resources. The CDK's construct leaves the load balancer's
// group without an egress rule, and EC2 lets a group without one send anywhere.
type firewall struct {
	loadBalancer, tasks awsec2.CfnSecurityGroup
	// fromLoadBalancer is the tasks' only ingress rule. It is a resource because the groups name
	// each other.
	fromLoadBalancer awsec2.CfnSecurityGroupIngress
}

func newFirewall(n network, p *params.Params) firewall {
	var f firewall
	port := jsii.Number(p.ListenerPort)
	f.tasks = awsec2.NewCfnSecurityGroup(n.stack, jsii.String("TaskFirewall"), &awsec2.CfnSecurityGroupProps{
		GroupDescription:    jsii.String("Tasks of the proxy"),
		VpcId:               n.vpc.VpcId(),
		SecurityGroupEgress: taskEgress(n, p),
	})
	f.loadBalancer = awsec2.NewCfnSecurityGroup(n.stack, jsii.String("LoadBalancerFirewall"),
		&awsec2.CfnSecurityGroupProps{
			GroupDescription:     jsii.String("Load balancer of the proxy"),
			VpcId:                n.vpc.VpcId(),
			SecurityGroupIngress: clientIngress(p),
			SecurityGroupEgress: &[]*awsec2.CfnSecurityGroup_EgressProperty{{
				Description:                jsii.String("to the tasks, health checks included"),
				DestinationSecurityGroupId: f.tasks.AttrGroupId(),
				IpProtocol:                 jsii.String("tcp"),
				FromPort:                   port,
				ToPort:                     port,
			}},
		})
	// The rule overlooks that an ICMPv6 type and code stand there:
	// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-ec2-securitygroup-ingress.html
	awscdk.Validations_Of(f.loadBalancer).Acknowledge(&awscdk.Acknowledgment{
		Id:     jsii.String("CloudFormation-Validate::W3687"),
		Reason: jsii.String("FromPort and ToPort are the type and the code of ICMPv6"),
	})
	f.fromLoadBalancer = awsec2.NewCfnSecurityGroupIngress(n.stack, jsii.String("FromLoadBalancer"),
		&awsec2.CfnSecurityGroupIngressProps{
			Description:           jsii.String("from the load balancer, health checks included"),
			GroupId:               f.tasks.AttrGroupId(),
			SourceSecurityGroupId: f.loadBalancer.AttrGroupId(),
			IpProtocol:            jsii.String("tcp"),
			FromPort:              port,
			ToPort:                port,
		})
	return f
}

// clientIngress admits the clients, and from anywhere the message that a packet is too large for
// the way to a client: it comes from a router on that way. AWS recommends it:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
//
// Tasks need no such rule. They begin their connections to destinations themselves, and a security
// group lets in what belongs to these:
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/network_mtu.html
func clientIngress(p *params.Params) *[]*awsec2.CfnSecurityGroup_IngressProperty {
	var rules []*awsec2.CfnSecurityGroup_IngressProperty
	admit := func(description, protocol string, first, last int) *awsec2.CfnSecurityGroup_IngressProperty {
		rules = append(rules, &awsec2.CfnSecurityGroup_IngressProperty{
			Description: jsii.String(description),
			IpProtocol:  jsii.String(protocol),
			FromPort:    jsii.Number(first),
			ToPort:      jsii.Number(last),
		})
		return rules[len(rules)-1]
	}
	ipv6 := false
	last := max(p.ListenerPort, p.AddressPort(p.FleetSize))
	for _, cidr := range p.ClientCidrs {
		rule := admit("clientCidrs", "tcp", p.ListenerPort, last)
		if cidr.Addr().Is4() {
			rule.CidrIp = jsii.String(cidr.String())
		} else {
			rule.CidrIpv6 = jsii.String(cidr.String())
			ipv6 = true
		}
	}
	for _, group := range p.ClientSecurityGroups {
		admit("clientSecurityGroups", "tcp", p.ListenerPort, last).SourceSecurityGroupId = jsii.String(group)
	}
	// Type and code are those of "destination unreachable, fragmentation needed".
	admit("path MTU discovery", "icmp", 3, 4).CidrIp = jsii.String("0.0.0.0/0")
	if ipv6 {
		// And those of "packet too big".
		admit("path MTU discovery", "icmpv6", 2, 0).CidrIpv6 = jsii.String("::/0")
	}
	return &rules
}

// taskEgress opens the ports of the destinations, and two that a task needs itself: 443 for its
// image, its secrets and its log, 80 to ask for its own address. It opens them over IPv4 alone: in
// an imported VPC a task may have an IPv6 address, which no list of egress addresses shows.
func taskEgress(n network, p *params.Params) *[]*awsec2.CfnSecurityGroup_EgressProperty {
	var rules []*awsec2.CfnSecurityGroup_EgressProperty
	open := func(protocol, description string, ports portRange) {
		rules = append(rules, &awsec2.CfnSecurityGroup_EgressProperty{
			Description: jsii.String(description),
			IpProtocol:  jsii.String(protocol),
			FromPort:    jsii.Number(ports.first),
			ToPort:      jsii.Number(ports.last),
			CidrIp:      jsii.String("0.0.0.0/0"),
		})
	}
	for _, ports := range egressPorts(slices.Concat(p.HTTPPorts, p.ConnectPorts, []int{443, 80})) {
		open("tcp", "destinations of the proxy", ports)
	}
	// Amazon's resolver needs no rule: security groups do not see it.
	if n.imported {
		open("udp", "names", portRange{53, 53})
		open("tcp", "names", portRange{53, 53})
	}
	return &rules
}

// portRange is a range of ports. Both ends belong to it.
type portRange struct{ first, last int }

// maxRanges is how many ranges the destinations may take. A security group holds 60 outbound
// rules.
const maxRanges = 50

// egressPorts joins ports to ranges. Ports too scattered for a security group are left to Squid's
// own rules, which are the first line.
func egressPorts(ports []int) []portRange {
	slices.Sort(ports)
	var ranges []portRange
	for _, port := range ports {
		if last := len(ranges) - 1; last >= 0 && port <= ranges[last].last+1 {
			ranges[last].last = port
			continue
		}
		ranges = append(ranges, portRange{port, port})
	}
	if len(ranges) > maxRanges {
		return []portRange{{1, 65535}}
	}
	return ranges
}
