package stacks

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// full is a fleet with nothing left at its default.
var full = map[string]any{
	"stackName": "Everything", "clientCidrs": []any{"198.51.100.7/32", "192.0.2.0/24", "2001:db8:7::/48"}, "users": []any{"alice", "b.o-b", "bo_b"},
	"realm": "the realm", "listenerPort": 40000.0, "httpPorts": []any{80.0, 8080.0}, "connectPorts": []any{443.0, 8443.0, 8444.0},
	"blockedCidrs": []any{"192.0.2.128/25"}, "fleetSize": 10.0, "cpu": 1024.0, "memory": 4096.0, "architecture": "arm64", "spotShare": 35.0,
	"rotateEvery": "24h", "drainTimeout": "5m", "vpcCidr": "10.9.0.0/24", "logRetentionDays": 7.0, "timezone": "Asia/Tokyo",
}

func TestOwnNetworkIsPublicSubnetsInTwoZonesAndNothingElse(t *testing.T) {
	for name, changes := range map[string]map[string]any{"default": nil, "full": full} {
		t.Run(name, func(t *testing.T) {
			network := synth(t, changes).network
			count := map[string]int{}
			for _, r := range network.Resources {
				count[r.Type]++
			}
			want := map[string]int{
				"AWS::EC2::VPC": 1, "AWS::EC2::InternetGateway": 1, "AWS::EC2::VPCGatewayAttachment": 1, "AWS::EC2::Subnet": 4,
				"AWS::EC2::RouteTable": 4, "AWS::EC2::SubnetRouteTableAssociation": 4, "AWS::EC2::Route": 4 + 2, "AWS::EC2::VPCCidrBlock": 1,
			}
			equal(t, "the number of resources by type", count, indented(t, want))

			zones := map[string]int{}
			for _, id := range network.ids("AWS::EC2::Subnet") {
				subnet := network.Resources[id].Properties
				if subnet["MapPublicIpOnLaunch"] != false {
					t.Errorf("%s gives everything in it a public address", id)
				}
				zones[indented(t, subnet["AvailabilityZone"])]++
			}
			equal(t, "the number of subnets by zone", zones, indented(t, map[string]int{
				indented(t, map[string]any{"Fn::Select": []any{0, map[string]any{"Fn::GetAZs": ""}}}): 2,
				indented(t, map[string]any{"Fn::Select": []any{1, map[string]any{"Fn::GetAZs": ""}}}): 2,
			}))
		})
	}
}

func TestEverythingIsInTheFleetsOwnVpc(t *testing.T) {
	for name, changes := range map[string]map[string]any{"default": nil, "full": full} {
		t.Run(name, func(t *testing.T) {
			a := synth(t, changes)
			vpc, properties := a.network.only(t, "AWS::EC2::VPC")
			equal(t, "the VPC", without(properties, "Tags", "InstanceTenancy"),
				fmt.Sprintf(`{"CidrBlock": %q, "EnableDnsSupport": true, "EnableDnsHostnames": true}`, a.params.VpcCidr))
			checked := 0
			for id, r := range a.network.Resources {
				if v, has := r.Properties["VpcId"]; has {
					checked++
					equal(t, id, v, `{"Ref": "`+vpc+`"}`)
				}
			}
			for id, r := range a.proxy.Resources {
				if v, has := r.Properties["VpcId"]; has {
					checked++
					if got := a.imports(t, v); got != vpc {
						t.Errorf("%s is in %s", id, got)
					}
				}
			}
			// 4 subnets, 4 route tables, the gateway, the IPv6 range; 2 security groups, the targets.
			if checked != 10+3 {
				t.Errorf("checked %d resources", checked)
			}
		})
	}
}

// imports returns the logical id of the resource in the network's stack that a reference from the proxy's stack means.
func (a *assembly) imports(t *testing.T, reference any) string {
	t.Helper()
	output := reference.(map[string]any)["Fn::GetStackOutput"].(map[string]any)
	equal(t, "the stack and region referred to", without(output, "OutputName"), fmt.Sprintf(`{"StackName": %q, "Region": {"Ref": "AWS::Region"}}`, a.params.StackName+"-Network"))
	id := ref(a.network.Outputs[output["OutputName"].(string)].Value)
	if _, exists := a.network.Resources[id]; !exists {
		t.Fatalf("%v means %q, which is not in the network", reference, id)
	}
	return id
}

func TestEverySubnetHasARouteToTheInternet(t *testing.T) {
	for name, changes := range map[string]map[string]any{"default": nil, "full": full} {
		t.Run(name, func(t *testing.T) {
			network := synth(t, changes).network
			gateway, _ := network.only(t, "AWS::EC2::InternetGateway")
			attachment, attached := network.only(t, "AWS::EC2::VPCGatewayAttachment")
			equal(t, "the attached gateway", attached["InternetGatewayId"], `{"Ref": "`+gateway+`"}`)

			tables := map[string]string{} // of the subnets
			for _, id := range network.ids("AWS::EC2::SubnetRouteTableAssociation") {
				p := network.Resources[id].Properties
				tables[ref(p["SubnetId"])] = ref(p["RouteTableId"])
			}
			routed := 0
			for _, subnet := range network.ids("AWS::EC2::Subnet") {
				for _, id := range network.ids("AWS::EC2::Route") {
					route := network.Resources[id]
					if ref(route.Properties["RouteTableId"]) != tables[subnet] || route.Properties["DestinationCidrBlock"] != "0.0.0.0/0" {
						continue
					}
					routed++
					equal(t, "the target of the default route of "+subnet, route.Properties["GatewayId"], `{"Ref": "`+gateway+`"}`)
					if !slices.Contains(route.DependsOn, attachment) {
						t.Errorf("%s does not wait for the gateway to be attached", id)
					}
				}
			}
			if routed != 4 {
				t.Errorf("%d default routes for 4 subnets", routed)
			}
		})
	}
}

func ref(v any) string {
	m, _ := v.(map[string]any)
	id, _ := m["Ref"].(string)
	return id
}

func TestSubnetsFitIntoTheSmallestAndTheLargestNetwork(t *testing.T) {
	for i, c := range []struct{ vpc, loadBalancer1, loadBalancer2, tasks1, tasks2 string }{
		{"10.0.0.0/16", "10.0.0.0/28", "10.0.0.16/28", "10.0.64.0/18", "10.0.128.0/18"},
		{"192.168.7.64/26", "192.168.7.64/28", "192.168.7.80/28", "192.168.7.96/28", "192.168.7.112/28"},
	} {
		t.Run(c.vpc, func(t *testing.T) {
			changes := map[string]any{"vpcCidr": c.vpc}
			app := newTestApp(t, filepath.Join(assemblies, "subnets", string(rune('a'+i))), changes)
			fleet := Input{Params: parse(t, cdkContext(t, changes))}
			n, err := fleet.network(app.App)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, group := range []string{"loadBalancer", "tasks"} {
				selection := n.loadBalancerSubnets
				if group == "tasks" {
					selection = n.taskSubnets
				}
				for _, subnet := range *n.vpc.SelectSubnets(selection).Subnets {
					got = append(got, *subnet.Ipv4CidrBlock())
				}
			}
			if want := []string{c.loadBalancer1, c.loadBalancer2, c.tasks1, c.tasks2}; !slices.Equal(got, want) {
				t.Errorf("subnets %v, want %v", got, want)
			}
			if got, want := n.loadBalancerCidrs, []netip.Prefix{netip.MustParsePrefix(c.loadBalancer1), netip.MustParsePrefix(c.loadBalancer2)}; !slices.Equal(got, want) {
				t.Errorf("load balancer in %v, want %v", got, want)
			}
		})
	}
}

func TestSquidBelievesTheLoadBalancersSubnetsOnly(t *testing.T) {
	for name, changes := range map[string]map[string]any{"default": nil, "full": full, "imported": imported(nil)} {
		t.Run(name, func(t *testing.T) {
			a := synth(t, changes)
			_, balancer := a.proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
			var want []netip.Prefix
			for _, subnet := range balancer["Subnets"].([]any) {
				want = append(want, a.subnetCidr(t, subnet))
			}
			got := aclValues(t, a.file(t, "squid.conf"), "load_balancer", "src")
			if !sameAddresses(got, want) {
				t.Errorf("squid.conf believes %v, the load balancer is in %v", got, want)
			}
		})
	}
}

// subnetCidr returns the range of a subnet that the proxy's stack refers to.
func (a *assembly) subnetCidr(t *testing.T, reference any) netip.Prefix {
	t.Helper()
	if id, literal := reference.(string); literal {
		return importedSubnets[id]
	}
	return netip.MustParsePrefix(a.network.Resources[a.imports(t, reference)].Properties["CidrBlock"].(string))
}

// aclValues returns the values of an ACL in squid.conf.
func aclValues(t *testing.T, conf, acl, kind string) []netip.Prefix {
	t.Helper()
	var values []netip.Prefix
	for line := range strings.Lines(conf) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[0] == "acl" && fields[1] == acl && fields[2] == kind {
			values = append(values, netip.MustParsePrefix(fields[3]))
		}
	}
	if len(values) == 0 {
		t.Fatalf("squid.conf has no acl %s %s", acl, kind)
	}
	return values
}

// sameAddresses compares two lists of IPv4 prefixes without overlaps among themselves; neighbours may be joined in one of them.
func sameAddresses(a, b []netip.Prefix) bool {
	inside := func(inner, outer []netip.Prefix) bool {
		for _, i := range inner {
			if !slices.ContainsFunc(outer, func(o netip.Prefix) bool { return o.Overlaps(i) }) {
				return false
			}
		}
		return true
	}
	size := func(list []netip.Prefix) (n int) {
		for _, p := range list {
			n += 1 << (32 - p.Bits())
		}
		return n
	}
	return inside(a, b) && inside(b, a) && size(a) == size(b)
}

func TestOnlyTheLoadBalancerCanHaveIPv6Addresses(t *testing.T) {
	network := synth(t).network
	vpc, _ := network.only(t, "AWS::EC2::VPC")
	block, properties := network.only(t, "AWS::EC2::VPCCidrBlock")
	equal(t, "the VPC's range", properties, `{"VpcId": {"Ref": "`+vpc+`"}, "AmazonProvidedIpv6CidrBlock": true}`)

	var dual []string
	for _, id := range network.ids("AWS::EC2::Subnet") {
		subnet := network.Resources[id]
		if !strings.Contains(id, "LoadBalancer") {
			equal(t, id, subnet.Properties["Ipv6CidrBlock"], `null`)
			continue
		}
		equal(t, id, subnet.Properties["Ipv6CidrBlock"], fmt.Sprintf(
			`{"Fn::Select": [%d, {"Fn::Cidr": [{"Fn::Select": [0, {"Fn::GetAtt": [%q, "Ipv6CidrBlocks"]}]}, 2, "64"]}]}`, len(dual), vpc))
		if !slices.Contains(subnet.DependsOn, block) {
			t.Errorf("%s does not wait for the VPC's IPv6 range", id)
		}
		dual = append(dual, id)
	}
	if len(dual) != 2 {
		t.Errorf("subnets %v, want 2", dual)
	}

	gateway, _ := network.only(t, "AWS::EC2::InternetGateway")
	attachment, _ := network.only(t, "AWS::EC2::VPCGatewayAttachment")
	var routed []string
	for _, id := range network.ids("AWS::EC2::Route") {
		route := network.Resources[id]
		if route.Properties["DestinationIpv6CidrBlock"] != "::/0" {
			continue
		}
		equal(t, id, route.Properties["GatewayId"], `{"Ref": "`+gateway+`"}`)
		if !slices.ContainsFunc(route.DependsOn, func(other string) bool { return slices.Contains(network.Resources[other].DependsOn, attachment) }) {
			t.Errorf("%s does not wait for what waits for the gateway to be attached", id)
		}
		for _, association := range network.ids("AWS::EC2::SubnetRouteTableAssociation") {
			p := network.Resources[association].Properties
			if ref(p["RouteTableId"]) == ref(route.Properties["RouteTableId"]) {
				routed = append(routed, ref(p["SubnetId"]))
			}
		}
	}
	slices.Sort(routed)
	if !slices.Equal(routed, dual) {
		t.Errorf("subnets %v have IPv6, and %v a route for it", dual, routed)
	}
}

func TestNetworkIsTheSameWhoeverTheClientsAre(t *testing.T) {
	changes := maps.Clone(full)
	changes["clientCidrs"] = []any{"198.51.100.7/32"}
	if got, want := indented(t, synth(t, changes).network.Resources), indented(t, synth(t, full).network.Resources); got != want {
		t.Errorf("without IPv6 clients the network is\n%s\nwith them\n%s", got, want)
	}
}

func TestLoadBalancerHasIPv6AddressesForIPv6ClientsOnly(t *testing.T) {
	for want, changes := range map[string]map[string]any{"ipv4": nil, "dualstack": full} {
		_, balancer := synth(t, changes).proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
		if balancer["IpAddressType"] != want {
			t.Errorf("address type %v, want %s", balancer["IpAddressType"], want)
		}
	}
}
