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
	// certificate is the ARN of the listeners' certificate, nil without TLS.
	certificate *string
	// service is what PrivateLink endpoints lead to, nil if there is none.
	service awsec2.CfnVPCEndpointService
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
	props := &elb.NetworkLoadBalancerProps{
		Vpc:            n.vpc,
		VpcSubnets:     n.loadBalancerSubnets,
		InternetFacing: jsii.Bool(p.Endpoint == params.EndpointPublic),
		IpAddressType:  addressType,
		// A load balancer that is made without a security group can never have one.
		SecurityGroups: &[]awsec2.ISecurityGroup{awsec2.SecurityGroup_FromSecurityGroupId(
			n.stack, jsii.String("EntryFirewall"), f.loadBalancer.AttrGroupId(), nil)},
		// Every client gets every egress address, whichever zone its connection enters by.
		CrossZoneEnabled: jsii.Bool(true),
	}
	if len(p.PrivateLinkPrincipals) > 0 {
		// Traffic through PrivateLink too passes the security group, by the addresses of its clients.
		props.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic = jsii.Bool(true)
	}
	e.loadBalancer = elb.NewNetworkLoadBalancer(n.stack, jsii.String("LoadBalancer"), props)
	e.certificate = newName(n.stack, p, e.loadBalancer, ipv6)
	e.service = newEndpointService(n.stack, p, e.loadBalancer)
	e.common = e.newEntry(n, p, "Targets", p.ListenerPort)
	return e
}

// tlsPolicy allows TLS 1.3 and 1.2, forward secrecy and authenticated ciphers only. AWS recommends
// it:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html
const tlsPolicy = elb.SslPolicy_TLS13_12_RES_PQ

// newEntry makes an entry with an empty target group of the id.
//
// A target group belongs to one load balancer. Another endpoint is another load balancer, made
// while the old one is still there, so it has groups with other ids.
//
// The listener's id holds the port. With the address's number instead, another listenerPort would
// move listeners to ports that others still have, which the load balancer refuses.
func (e endpoint) newEntry(n network, p *params.Params, id string, port int) (made entry) {
	if p.Endpoint == params.EndpointInternal {
		id = "Internal" + id
	}
	made.targets = elb.NewNetworkTargetGroup(n.stack, jsii.String(id), &elb.NetworkTargetGroupProps{
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
			Interval:                awscdk.Duration_Seconds(jsii.Number(params.CheckInterval.Seconds())),
			Timeout:                 awscdk.Duration_Seconds(jsii.Number(params.CheckTimeout.Seconds())),
			HealthyThresholdCount:   jsii.Number(params.HealthyChecks),
			UnhealthyThresholdCount: jsii.Number(params.UnhealthyChecks),
		},
	})
	// A busy task may miss some checks. By default the load balancer then cuts its connections. They
	// go on instead, for as long as those of a task that leaves, and ECS replaces a task that stays
	// unhealthy:
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health.html
	made.targets.SetAttribute(jsii.String("target_health_state.unhealthy.connection_termination.enabled"),
		jsii.String("false"))
	made.targets.SetAttribute(jsii.String("target_health_state.unhealthy.draining_interval_seconds"),
		jsii.Sprintf("%.0f", p.DeregistrationDelay().Seconds()))
	props := &elb.NetworkListenerProps{
		LoadBalancer:        e.loadBalancer,
		Port:                jsii.Number(port),
		Protocol:            elb.Protocol_TCP,
		DefaultTargetGroups: &[]elb.INetworkTargetGroup{made.targets},
	}
	if e.certificate != nil {
		// The load balancer ends TLS. Tasks get the same bytes as without it.
		props.Protocol, props.SslPolicy = elb.Protocol_TLS, tlsPolicy
		props.Certificates = &[]elb.IListenerCertificate{elb.ListenerCertificate_FromArn(e.certificate)}
	} else {
		props.TcpIdleTimeout = awscdk.Duration_Seconds(jsii.Number(p.IdleTimeout.Seconds()))
	}
	made.listener = elb.NewNetworkListener(n.stack, jsii.Sprintf("Listener%d", port), props)
	return made
}
