package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// zones is how many availability zones a VPC of the fleet's own spans.
const zones = 2

func (f *fleet) ipv6() bool {
	return slices.ContainsFunc(f.ClientCidrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// checkNetwork: every subnet has a default route to the internet gateway, no NAT, and the load balancer's subnets are in the same zones as the tasks' but hold nothing else.
func (f *fleet) checkNetwork() {
	if f.network == nil {
		return // imported: nothing of it is in a template; see lookup
	}
	vpc := f.first(f.network, "AWS::EC2::VPC")
	f.want(vpc, "network", "", object{
		"CidrBlock": f.VpcCidr, "EnableDnsHostnames": true, "EnableDnsSupport": true, "InstanceTenancy": "default", "Tags": f.networkName(""),
	})
	gateway := f.first(f.network, "AWS::EC2::InternetGateway")
	f.want(gateway, "network", "", object{"Tags": f.networkName("")})
	attachment := f.first(f.network, "AWS::EC2::VPCGatewayAttachment")
	f.want(attachment, "route", "without it nothing reaches the internet", object{"InternetGatewayId": gateway.ref(), "VpcId": vpc.ref()})
	// The load balancer's subnets, and no others, have IPv6 addresses from the start: they could not be taken away again when the last client with such an address goes.
	block := f.first(f.network, "AWS::EC2::VPCCidrBlock")
	f.want(block, "network", "", object{"AmazonProvidedIpv6CidrBlock": true, "VpcId": vpc.ref()})

	entry, tasks := f.subnets("LoadBalancer", f.loadBalancerSubnets(), vpc), f.subnets("Tasks", f.taskSubnets(), vpc)
	f.checkCidrs(entry, tasks)
	f.checkZones("load balancer", entry)
	f.checkZones("tasks", tasks)
	for i, subnet := range entry {
		f.checkRoutes(subnet, subnetName("LoadBalancer", i), vpc, gateway, attachment, true)
		cut := object{"Fn::Cidr": list{object{"Fn::Select": list{0, vpc.att("Ipv6CidrBlocks")}}, zones, 64}}
		f.want(subnet, "network", "IPv6 clients reach the load balancer at an address of its subnet", object{"Ipv6CidrBlock": object{"Fn::Select": list{i, cut}}})
		f.dependsOn(subnet, block, "network", "the subnet's IPv6 range is cut from the VPC's")
	}
	for i, subnet := range tasks {
		f.checkRoutes(subnet, subnetName("Tasks", i), vpc, gateway, attachment, false)
	}
}

func (f *fleet) loadBalancerSubnets() any { return f.loadBalancer.properties["Subnets"] }

func (f *fleet) taskSubnets() any {
	return at(f.service.properties, "NetworkConfiguration", "AwsvpcConfiguration", "Subnets")
}

// networkName is the label by which people find a part of the network among others in the console; the CDK makes it of the construct's path.
func (f *fleet) networkName(part string) list {
	return list{object{"Key": "Name", "Value": f.network.Name + "/Vpc" + part}}
}

func subnetName(group string, i int) string { return fmt.Sprintf("/%sSubnet%d", group, i+1) }

// subnets returns those that a list refers to.
func (f *fleet) subnets(group string, references any, vpc *resource) []*resource {
	items, _ := references.([]any)
	var found []*resource
	for i, item := range items {
		subnet := f.byReference(item, "AWS::EC2::Subnet")
		if !subnet.there() || item != subnet.ref() {
			continue // told where the list is looked at
		}
		found = append(found, subnet)
		f.want(subnet, "network", "", object{
			"AvailabilityZone": object{"Fn::Select": list{i, object{"Fn::GetAZs": matcher(anyRegion)}}},
			"CidrBlock":        matcher(isCidr),
			// Tasks and load balancer ask for their addresses themselves.
			"MapPublicIpOnLaunch": false,
			// By the CDK's two a later lookup of the VPC tells the subnets apart.
			"Tags": append(set{object{"Key": "aws-cdk:subnet-name", "Value": group}, object{"Key": "aws-cdk:subnet-type", "Value": "Public"}},
				f.networkName(subnetName(group, i))...),
			"VpcId": vpc.ref(),
		})
	}
	return found
}

func anyRegion(got any) string {
	if got != "" && got != opening+"AWS::Region"+closing {
		return fmt.Sprintf("is %s, want the stack's region", show(got))
	}
	return ""
}

func isCidr(got any) string {
	s, _ := got.(string)
	if p, err := netip.ParsePrefix(s); err != nil || p != p.Masked() {
		return fmt.Sprintf("is %s, want a CIDR block", show(got))
	}
	return ""
}

// cidr returns a subnet's range, and the zero Prefix if it has none.
func cidr(subnet *resource) netip.Prefix {
	s, _ := subnet.properties["CidrBlock"].(string)
	p, _ := netip.ParsePrefix(s)
	return p
}

// checkCidrs: no two subnets overlap, all lie in the VPC, and the tasks' have the room that vpcCidr promises.
func (f *fleet) checkCidrs(entry, tasks []*resource) {
	all := slices.Concat(entry, tasks)
	for i, subnet := range all {
		c := cidr(subnet)
		if !c.IsValid() {
			continue
		}
		if !f.VpcCidr.Contains(c.Addr()) || c.Bits() < f.VpcCidr.Bits() {
			f.at(subnet, "network", "Properties.CidrBlock: %s is outside the VPC's %s", c, f.VpcCidr)
		}
		if i > 0 && c.Addr().Less(cidr(all[i-1]).Addr()) {
			f.at(subnet, "network", "Properties.CidrBlock: %s comes before that of %s: subnets that change places in a VPC that is there cannot be replaced, for each holds the other's range", c, all[i-1].id)
		}
		for _, other := range all[:i] {
			if other != subnet && cidr(other).Overlaps(c) {
				f.at(subnet, "network", "Properties.CidrBlock: %s overlaps %s of %s: a task could pass for the load balancer", c, cidr(other), other.id)
			} else if other == subnet {
				f.at(subnet, "network", "is used twice: the load balancer and the tasks have subnets of their own, one a zone")
			}
		}
	}
	for _, subnet := range entry {
		// AWS takes none smaller than /28 for a load balancer.
		if c := cidr(subnet); c.IsValid() && c.Bits() > 28 {
			f.at(subnet, "network", "Properties.CidrBlock: %s is too small for a load balancer, give /28", c)
		}
	}
	for _, subnet := range tasks {
		if c := cidr(subnet); c.IsValid() && c.Bits() != f.VpcCidr.Bits()+2 {
			f.at(subnet, "network", "Properties.CidrBlock: %s is not a quarter of the VPC's %s, for which fleetSize was found to fit", c, f.VpcCidr)
		}
	}
}

// checkZones: one subnet in each zone; that the first is in the first one and so on is seen with their other properties.
func (f *fleet) checkZones(whose string, subnets []*resource) {
	if len(subnets) != zones {
		f.report(f.network.Name, none, "network", "%s: %d subnets of the network's, want %d, one a zone", whose, len(subnets), zones)
	}
}

// checkRoutes: the subnet's one route table leads to the internet gateway and nowhere else.
func (f *fleet) checkRoutes(subnet *resource, name string, vpc, gateway, attachment *resource, ipv6 bool) {
	var tables, associations []*resource
	for _, association := range f.all("AWS::EC2::SubnetRouteTableAssociation") {
		if association.properties["SubnetId"] != subnet.ref() {
			continue
		}
		table := f.byReference(association.properties["RouteTableId"], "AWS::EC2::RouteTable")
		f.want(association, "route", "", object{"SubnetId": subnet.ref(), "RouteTableId": table.ref()})
		tables, associations = append(tables, table), append(associations, association)
	}
	if len(tables) != 1 || !tables[0].there() {
		f.at(subnet, "route", "has %d route tables, want 1", len(tables))
		return
	}
	table := tables[0]
	f.want(table, "route", "", object{"VpcId": vpc.ref(), "Tags": f.networkName(name)})
	var destinations []string
	for _, route := range f.all("AWS::EC2::Route") {
		if route.properties["RouteTableId"] != table.ref() {
			continue
		}
		destination, everywhere := "DestinationCidrBlock", "0.0.0.0/0"
		if _, six := route.properties["DestinationIpv6CidrBlock"]; six {
			destination, everywhere = "DestinationIpv6CidrBlock", "::/0"
		}
		f.want(route, "route", "the one way out of the subnet is the internet gateway", object{"RouteTableId": table.ref(), destination: everywhere, "GatewayId": gateway.ref()})
		f.dependsOn(route, attachment, "route", "EC2 takes no route to a gateway that is not attached")
		for _, other := range f.all("AWS::EC2::Route") {
			if everywhere == "::/0" && other.properties["DestinationCidrBlock"] != nil && other.properties["RouteTableId"] == table.ref() {
				for _, first := range []*resource{other, associations[0]} {
					f.dependsOn(route, first, "route", "IPv6 is added to a subnet that is on the internet already")
				}
			}
		}
		destinations = append(destinations, fmt.Sprint(route.properties[destination]))
	}
	want := []string{"0.0.0.0/0"}
	if ipv6 {
		want = append(want, "::/0")
	}
	slices.Sort(destinations)
	slices.Sort(want)
	if !slices.Equal(destinations, want) {
		f.at(subnet, "route", "its routes lead to [%s], want [%s]", strings.Join(destinations, " "), strings.Join(want, " "))
	}
}

// vpc is the canonical value of every VpcId in the proxy's stack.
func (f *fleet) vpc() any {
	if f.network == nil {
		return f.VpcID
	}
	return f.first(f.network, "AWS::EC2::VPC").ref()
}

// subnetList is what a list of the load balancer's or the tasks' subnets may be.
func (f *fleet) subnetList() matcher {
	return func(got any) string {
		items, ok := textsOf(got)
		if !ok || len(items) < zones {
			return fmt.Sprintf("is %s, want a subnet in each of at least %d zones", show(got), zones)
		}
		for i, item := range items {
			if slices.Contains(items[:i], item) {
				return fmt.Sprintf("has %s twice", show(item))
			}
			if f.network != nil && f.byReference(item, "AWS::EC2::Subnet").ref() != item {
				return fmt.Sprintf("has %s, want a subnet of the stack %s", show(item), f.network.Name)
			}
		}
		if f.network == nil {
			return f.publicSubnets(items)
		}
		return ""
	}
}
