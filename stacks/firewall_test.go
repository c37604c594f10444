package stacks

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
)

// firewalls returns the logical ids of the load balancer's and the tasks' security groups, after checking that those are in use.
func (a *assembly) firewalls(t *testing.T) (loadBalancer, tasks string) {
	t.Helper()
	group := func(list any) string {
		groups := list.([]any)
		if len(groups) != 1 {
			t.Fatalf("security groups %v, want one", groups)
		}
		return attributeOf(groups[0], "GroupId")
	}
	_, balancer := a.proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
	_, service := a.proxy.only(t, "AWS::ECS::Service")
	loadBalancer = group(balancer["SecurityGroups"])
	tasks = group(service["NetworkConfiguration"].(map[string]any)["AwsvpcConfiguration"].(map[string]any)["SecurityGroups"])
	if groups := a.proxy.ids("AWS::EC2::SecurityGroup"); len(groups) != 2 || !slices.Contains(groups, loadBalancer) || !slices.Contains(groups, tasks) || loadBalancer == tasks {
		t.Fatalf("the load balancer has security group %q, the tasks %q, and there are %q", loadBalancer, tasks, groups)
	}
	if separate := a.proxy.ids("AWS::EC2::SecurityGroupEgress"); len(separate) != 0 {
		t.Fatalf("rules outside the groups: %v", separate)
	}
	return loadBalancer, tasks
}

// attributeOf returns the logical id in an Fn::GetAtt of the given attribute.
func attributeOf(v any, attribute string) string {
	m, _ := v.(map[string]any)
	if pair, _ := m["Fn::GetAtt"].([]any); len(pair) == 2 && pair[1] == attribute {
		return pair[0].(string)
	}
	return ""
}

func TestTasksAcceptConnectionsOnlyFromTheLoadBalancer(t *testing.T) {
	for name, changes := range map[string]map[string]any{"default": nil, "full": full, "imported": imported(nil)} {
		t.Run(name, func(t *testing.T) {
			a := synth(t, changes)
			loadBalancer, tasks := a.firewalls(t)
			if rules := a.proxy.Resources[tasks].Properties["SecurityGroupIngress"]; rules != nil {
				t.Errorf("the tasks' group itself admits %v", rules)
			}
			_, rule := a.proxy.only(t, "AWS::EC2::SecurityGroupIngress")
			equal(t, "the only rule", rule, fmt.Sprintf(`{
				"Description": "from the load balancer, health checks included",
				"GroupId": {"Fn::GetAtt": [%q, "GroupId"]}, "SourceSecurityGroupId": {"Fn::GetAtt": [%q, "GroupId"]},
				"IpProtocol": "tcp", "FromPort": %d, "ToPort": %[3]d}`, tasks, loadBalancer, a.params.ListenerPort))
		})
	}
}

func TestLoadBalancerAdmitsExactlyTheClients(t *testing.T) {
	a := synth(t, full)
	loadBalancer, _ := a.firewalls(t)
	equal(t, "ingress", a.proxy.Resources[loadBalancer].Properties["SecurityGroupIngress"], `[
		{"CidrIp": "198.51.100.7/32", "Description": "clientCidrs", "IpProtocol": "tcp", "FromPort": 40000, "ToPort": 40000},
		{"CidrIp": "192.0.2.0/24", "Description": "clientCidrs", "IpProtocol": "tcp", "FromPort": 40000, "ToPort": 40000},
		{"CidrIpv6": "2001:db8:7::/48", "Description": "clientCidrs", "IpProtocol": "tcp", "FromPort": 40000, "ToPort": 40000}]`)
}

func TestLoadBalancerSendsToTheTasksOnly(t *testing.T) {
	a := synth(t, full)
	loadBalancer, tasks := a.firewalls(t)
	equal(t, "egress", a.proxy.Resources[loadBalancer].Properties["SecurityGroupEgress"], `[
		{"DestinationSecurityGroupId": {"Fn::GetAtt": ["`+tasks+`", "GroupId"]}, "Description": "to the tasks, health checks included", "IpProtocol": "tcp", "FromPort": 40000, "ToPort": 40000}]`)
}

func TestTasksSendToThePortsOfTheParametersOnly(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    []string
	}{
		{"default", nil, []string{"tcp 80-80", "tcp 443-443"}},
		{"full", full, []string{"tcp 80-80", "tcp 443-443", "tcp 8080-8080", "tcp 8443-8444"}},
		{"imported", imported(nil), []string{"tcp 80-80", "tcp 443-443", "udp 53-53", "tcp 53-53"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := synth(t, c.changes)
			_, tasks := a.firewalls(t)
			var ipv4, ipv6 []string
			for _, entry := range a.proxy.Resources[tasks].Properties["SecurityGroupEgress"].([]any) {
				rule := entry.(map[string]any)
				text := fmt.Sprintf("%v %v-%v", rule["IpProtocol"], rule["FromPort"], rule["ToPort"])
				switch {
				case rule["CidrIp"] == "0.0.0.0/0":
					ipv4 = append(ipv4, text)
				case rule["CidrIpv6"] == "::/0":
					ipv6 = append(ipv6, text)
				default:
					t.Errorf("rule %v", rule)
				}
			}
			if !slices.Equal(ipv4, c.want) {
				t.Errorf("IPv4 %q, want %q", ipv4, c.want)
			}
			// In a VPC of their own tasks have no IPv6 address.
			if c.name != "imported" {
				c.want = nil
			}
			if !slices.Equal(ipv6, c.want) {
				t.Errorf("IPv6 %q, want %q", ipv6, c.want)
			}
		})
	}
}

func TestEgressPortsAreJoinedAndFitIntoASecurityGroup(t *testing.T) {
	scattered := func(n int) (ports []int) {
		for i := range n {
			ports = append(ports, 1000+2*i)
		}
		return ports
	}
	for _, c := range []struct {
		name  string
		ports []int
		want  []portRange
	}{
		{"one", []int{443}, []portRange{{443, 443}}},
		{"neighbours, doubles, any order", []int{82, 443, 80, 443, 81}, []portRange{{80, 82}, {443, 443}}},
		{"too scattered", scattered(maxRanges + 1), []portRange{{1, 65535}}},
	} {
		if got := egressPorts(c.ports); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := egressPorts(scattered(maxRanges)); len(got) != maxRanges {
		t.Errorf("%d scattered ports became %d ranges", maxRanges, len(got))
	}
}
