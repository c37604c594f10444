package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// endpoint is where clients come in.
type endpoint struct {
	loadBalancer elb.NetworkLoadBalancer
	common       entry // leads to any address
}

// entry is a port of the load balancer and the tasks that it leads to.
type entry struct {
	listener elb.NetworkListener
	targets  elb.NetworkTargetGroup
}

func newLoadBalancer(n network, p *params.Params, f firewall, ipv6 bool) endpoint {
	var e endpoint
	// Only when it is needed: an IPv6 address that admits nobody makes clients wait before they
	// try IPv4.
	addressType := elb.IpAddressType_IPV4
	if ipv6 {
		addressType = elb.IpAddressType_DUAL_STACK
	}
	e.loadBalancer = elb.NewNetworkLoadBalancer(n.stack, jsii.String("LoadBalancer"), &elb.NetworkLoadBalancerProps{
		Vpc:            n.vpc,
		VpcSubnets:     n.loadBalancerSubnets,
		InternetFacing: jsii.Bool(true),
		IpAddressType:  addressType,
		// A load balancer that is made without a security group can never have one.
		SecurityGroups: &[]awsec2.ISecurityGroup{awsec2.SecurityGroup_FromSecurityGroupId(
			n.stack, jsii.String("EntryFirewall"), f.loadBalancer.AttrGroupId(), nil)},
		// Every client gets every egress address, whichever zone its connection enters by.
		CrossZoneEnabled: jsii.Bool(true),
	})
	e.common = newEntry(n, p, e.loadBalancer, "Targets", p.ListenerPort)
	return e
}

// newEntry makes an entry with an empty target group of the id.
//
// The listener's id holds the port. With the address's number instead, another listenerPort would
// move listeners to ports that others still have, which the load balancer refuses.
func newEntry(n network, p *params.Params, loadBalancer elb.NetworkLoadBalancer, id string, port int) (e entry) {
	e.targets = elb.NewNetworkTargetGroup(n.stack, jsii.String(id), &elb.NetworkTargetGroupProps{
		Vpc: n.vpc,
		// Squid's.
		Port:       jsii.Number(p.ListenerPort),
		Protocol:   elb.Protocol_TCP,
		TargetType: elb.TargetType_IP,
		// The PROXY header carries the client's address. Connections come from the load
		// balancer's own, so that the tasks' security group can name its group, and clients
		// inside the VPC can use the proxy too.
		ProxyProtocolV2:  jsii.Bool(true),
		PreserveClientIp: jsii.Bool(false),
		CrossZoneEnabled: jsii.Bool(true),
		// A deregistered task gets new connections for a while, and the last of them has the
		// drainTimeout too. Then all are cut rather than left to hang.
		DeregistrationDelay:   awscdk.Duration_Seconds(jsii.Number(p.DeregistrationDelay().Seconds())),
		ConnectionTermination: jsii.Bool(true),
		HealthCheck: &elb.HealthCheck{
			Protocol:                elb.Protocol_TCP,
			Interval:                awscdk.Duration_Seconds(jsii.Number(10)),
			Timeout:                 awscdk.Duration_Seconds(jsii.Number(5)),
			HealthyThresholdCount:   jsii.Number(2),
			UnhealthyThresholdCount: jsii.Number(2),
		},
	})
	// A busy task may miss two checks. By default the load balancer then cuts its connections. They
	// go on instead, for as long as those of a task that leaves, and ECS replaces a task that stays
	// unhealthy:
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health.html
	e.targets.SetAttribute(jsii.String("target_health_state.unhealthy.connection_termination.enabled"),
		jsii.String("false"))
	e.targets.SetAttribute(jsii.String("target_health_state.unhealthy.draining_interval_seconds"),
		jsii.Sprintf("%.0f", p.DeregistrationDelay().Seconds()))
	e.listener = elb.NewNetworkListener(n.stack, jsii.Sprintf("Listener%d", port), &elb.NetworkListenerProps{
		LoadBalancer:        loadBalancer,
		Port:                jsii.Number(port),
		Protocol:            elb.Protocol_TCP,
		TcpIdleTimeout:      awscdk.Duration_Seconds(jsii.Number(p.IdleTimeout.Seconds())),
		DefaultTargetGroups: &[]elb.INetworkTargetGroup{e.targets},
	})
	return e
}
