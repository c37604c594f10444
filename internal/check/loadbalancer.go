package check

import (
	"net/netip"
	"strconv"
	"time"

	"squidfleet/proxyimage/container"
)

// checkLoadBalancer: one listener, on the clients' port, that forwards to the tasks.
func (f *fleet) checkLoadBalancer() {
	addresses := "ipv4"
	if f.ipv6() {
		addresses = "dualstack"
	}
	f.want(f.loadBalancer, "load-balancer", "", object{
		"Type": "network", "Scheme": "internet-facing", "IpAddressType": addresses, "Subnets": f.subnetList(),
		"LoadBalancerAttributes": pairs("Key", "Value", map[string]any{
			// Every client has every egress address, whichever zone it comes in by; and cdk destroy works.
			"load_balancing.cross_zone.enabled": true, "deletion_protection.enabled": false,
		}),
	})
	f.want(f.loadBalancer, "firewall", "a load balancer that is made without a security group can never have one", object{"SecurityGroups": list{f.loadBalancerFirewall.att("GroupId")}})
	f.want(f.listener, "listener", "", object{
		"LoadBalancerArn": f.loadBalancer.ref(), "Port": f.ListenerPort, "Protocol": "TCP",
		"DefaultActions": list{object{"Type": "forward", "TargetGroupArn": f.targets.ref()}},
	})
}

// checkTargets: tasks by address, the client's address in a PROXY header and nowhere else, and a delay that leaves each connection of an old task the drainTimeout.
func (f *fleet) checkTargets() {
	f.want(f.targets, "targets", "", object{"TargetType": "ip", "Port": f.ListenerPort, "Protocol": "TCP", "VpcId": f.vpc()})
	f.want(f.targets, "targets", "PROXY v2 tells the client's address, connections come from the load balancer's, and each connection of an old task may go on for drainTimeout, also the last that the load balancer sends there, before it is cut", object{
		"TargetGroupAttributes": pairs("Key", "Value", map[string]any{
			"proxy_protocol_v2.enabled":                           true,
			"preserve_client_ip.enabled":                          false,
			"load_balancing.cross_zone.enabled":                   true,
			"deregistration_delay.timeout_seconds":                int(f.DeregistrationDelay() / time.Second),
			"deregistration_delay.connection_termination.enabled": true,
		}),
	})
	f.want(f.targets, "health", "a task that fails is left out within half a minute, and only a TCP check carries no request", object{
		"HealthCheckEnabled": optional{true}, "HealthCheckProtocol": "TCP", "HealthCheckPort": optional{"traffic-port"},
		"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 5, "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2,
	})
}

// checkLog: kept as long as the parameters say.
func (f *fleet) checkLog() {
	f.want(f.log, "log", "", object{"RetentionInDays": f.LogRetentionDays})
}

// stopSeconds is the time between a task's SIGTERM and its end that the entrypoint counts on.
func stopSeconds() string { return strconv.Itoa(int(container.StopTimeout / time.Second)) }

// ranges returns the addresses of the load balancer and of the VPC, from the templates or from what was looked up.
func (f *fleet) ranges() (loadBalancer, vpc []netip.Prefix) {
	if f.network == nil {
		return f.importedRanges()
	}
	items, _ := f.loadBalancerSubnets().([]any)
	for _, item := range items {
		if c := cidr(f.byReference(item, "AWS::EC2::Subnet")); c.IsValid() {
			loadBalancer = append(loadBalancer, c)
		}
	}
	return loadBalancer, []netip.Prefix{f.VpcCidr}
}
