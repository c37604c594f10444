package stacks

import (
	"fmt"
	"testing"
)

func TestLoadBalancerFacesTheInternet(t *testing.T) {
	_, balancer := synth(t).proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
	if balancer["Scheme"] != "internet-facing" || balancer["Type"] != "network" {
		t.Errorf("scheme %v, type %v", balancer["Scheme"], balancer["Type"])
	}
}

func TestEveryClientCanReachEveryTask(t *testing.T) {
	proxy := synth(t).proxy
	_, balancer := proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
	_, targets := proxy.only(t, "AWS::ElasticLoadBalancingV2::TargetGroup")
	for _, list := range []any{balancer["LoadBalancerAttributes"], targets["TargetGroupAttributes"]} {
		if got := attribute(t, list, "load_balancing.cross_zone.enabled"); got != "true" {
			t.Errorf("cross-zone balancing: %s", got)
		}
	}
}

func TestDestroyIsNotHeldUpByTheLoadBalancer(t *testing.T) {
	_, balancer := synth(t).proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
	if got := attribute(t, balancer["LoadBalancerAttributes"], "deletion_protection.enabled"); got != "false" {
		t.Errorf("deletion protection: %s", got)
	}
}

func TestListenerForwardsTCPToTheTasks(t *testing.T) {
	for name, changes := range map[string]map[string]any{"default": nil, "full": full} {
		t.Run(name, func(t *testing.T) {
			a := synth(t, changes)
			balancer, _ := a.proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
			group, targets := a.proxy.only(t, "AWS::ElasticLoadBalancingV2::TargetGroup")
			_, listener := a.proxy.only(t, "AWS::ElasticLoadBalancingV2::Listener")
			equal(t, "the listener", listener, fmt.Sprintf(`{"DefaultActions": [{"TargetGroupArn": {"Ref": %q}, "Type": "forward"}],
				"LoadBalancerArn": {"Ref": %q}, "Port": %d, "Protocol": "TCP"}`, group, balancer, a.params.ListenerPort))
			if targets["TargetType"] != "ip" || targets["Protocol"] != "TCP" || targets["Port"] != float64(a.params.ListenerPort) {
				t.Errorf("targets: type %v, protocol %v, port %v", targets["TargetType"], targets["Protocol"], targets["Port"])
			}
		})
	}
}

func TestTasksLearnTheClientsAddressFromThePROXYHeader(t *testing.T) {
	_, targets := synth(t).proxy.only(t, "AWS::ElasticLoadBalancingV2::TargetGroup")
	if got := attribute(t, targets["TargetGroupAttributes"], "proxy_protocol_v2.enabled"); got != "true" {
		t.Errorf("PROXY protocol: %s", got)
	}
	if got := attribute(t, targets["TargetGroupAttributes"], "preserve_client_ip.enabled"); got != "false" {
		t.Errorf("client IP preservation: %s", got)
	}
}

// The drainTimeout, and the two minutes for which the load balancer may send an old task new connections.
func TestEachOldConnectionHasTheDrainTimeout(t *testing.T) {
	for want, changes := range map[string]map[string]any{"240": nil, "420": full} {
		_, targets := synth(t, changes).proxy.only(t, "AWS::ElasticLoadBalancingV2::TargetGroup")
		if got := attribute(t, targets["TargetGroupAttributes"], "deregistration_delay.timeout_seconds"); got != want {
			t.Errorf("deregistration delay %s s, want %s", got, want)
		}
		if got := attribute(t, targets["TargetGroupAttributes"], "deregistration_delay.connection_termination.enabled"); got != "true" {
			t.Errorf("connection termination: %s", got)
		}
	}
}

func TestANewTaskIsInUseWithinTwentySeconds(t *testing.T) {
	_, targets := synth(t).proxy.only(t, "AWS::ElasticLoadBalancingV2::TargetGroup")
	equal(t, "the health check", without(targets, "Port", "Protocol", "TargetGroupAttributes", "TargetType", "VpcId"),
		`{"HealthCheckProtocol": "TCP", "HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 5, "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2}`)
}
