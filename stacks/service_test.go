package stacks

import (
	"encoding/json"
	"slices"
	"testing"

	"squidfleet/params"
)

func TestEveryTaskHasAPublicAddressInTheTaskSubnets(t *testing.T) {
	for name, changes := range everyFleet {
		t.Run(name, func(t *testing.T) {
			a := synth(t, changes)
			_, service := a.proxy.only(t, "AWS::ECS::Service")
			network := service["NetworkConfiguration"].(map[string]any)["AwsvpcConfiguration"].(map[string]any)
			if network["AssignPublicIp"] != "ENABLED" {
				t.Errorf("public address: %v", network["AssignPublicIp"])
			}
			subnets := network["Subnets"].([]any)
			if len(subnets) != 2 {
				t.Errorf("%d subnets, want 2", len(subnets))
			}
			_, balancer := a.proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
			if a.params.VpcID == "" {
				for _, subnet := range subnets {
					cidr := a.subnetCidr(t, subnet)
					for _, other := range balancer["Subnets"].([]any) {
						if a.subnetCidr(t, other).Overlaps(cidr) {
							t.Errorf("tasks and load balancer share %v", cidr)
						}
					}
				}
			}
		})
	}
}

func TestDeploymentNeverGoesBelowTheFleetsSizeAndRollsBack(t *testing.T) {
	for name, size := range map[string]float64{"default": 2, "full": 10} {
		_, service := synth(t, everyFleet[name]).proxy.only(t, "AWS::ECS::Service")
		if service["DesiredCount"] != size {
			t.Errorf("%s: %v tasks, want %v", name, service["DesiredCount"], size)
		}
		equal(t, name, service["DeploymentConfiguration"], `{"MinimumHealthyPercent": 100, "MaximumPercent": 200, "DeploymentCircuitBreaker": {"Enable": true, "Rollback": true}}`)
		equal(t, name, service["PlatformVersion"], `"1.4.0"`)
		equal(t, name, service["HealthCheckGracePeriodSeconds"], `60`)
		equal(t, name, service["AvailabilityZoneRebalancing"], `"ENABLED"`)
	}
}

func TestServiceStartsWhenItCanBeReached(t *testing.T) {
	for name, changes := range everyFleet {
		t.Run(name, func(t *testing.T) {
			proxy := synth(t, changes).proxy
			listener, _ := proxy.only(t, "AWS::ElasticLoadBalancingV2::Listener")
			rule, _ := proxy.only(t, "AWS::EC2::SecurityGroupIngress")
			service, _ := proxy.only(t, "AWS::ECS::Service")
			for _, needed := range []string{listener, rule} {
				if !slices.Contains(proxy.Resources[service].DependsOn, needed) {
					t.Errorf("the service does not wait for %s", needed)
				}
			}
		})
	}
}

func TestTagsOfTheStackReachTheTasks(t *testing.T) {
	_, service := synth(t).proxy.only(t, "AWS::ECS::Service")
	equal(t, "propagated", service["PropagateTags"], `"SERVICE"`)
	equal(t, "managed", service["EnableECSManagedTags"], `true`)
}

func TestServiceRunsTheTaskOnTheCluster(t *testing.T) {
	proxy := synth(t).proxy
	cluster, properties := proxy.only(t, "AWS::ECS::Cluster")
	task, _ := proxy.only(t, "AWS::ECS::TaskDefinition")
	_, service := proxy.only(t, "AWS::ECS::Service")
	equal(t, "cluster", service["Cluster"], `{"Ref": "`+cluster+`"}`)
	equal(t, "task", service["TaskDefinition"], `{"Ref": "`+task+`"}`)
	equal(t, "launch type", service["LaunchType"], `null`)
	equal(t, "the cluster", properties, `{"CapacityProviders": ["FARGATE", "FARGATE_SPOT"], "ClusterSettings": [{"Name": "containerInsights", "Value": "disabled"}]}`)
}

func TestSpotShareIsHonouredToTheTask(t *testing.T) {
	type weights map[string]float64
	for _, c := range []struct {
		size, share int
		want        weights
	}{
		{2, 0, weights{"FARGATE": 1}},
		{2, 100, weights{"FARGATE_SPOT": 1}},
		{7, 100, weights{"FARGATE_SPOT": 1}},
		{2, 50, weights{"FARGATE": 1, "FARGATE_SPOT": 1}},
		{10, 35, weights{"FARGATE": 7, "FARGATE_SPOT": 3}},
		{10, 40, weights{"FARGATE": 3, "FARGATE_SPOT": 2}},
		{100, 99, weights{"FARGATE": 1, "FARGATE_SPOT": 99}},
		{3, 33, weights{"FARGATE": 1}}, // no whole task
		{3, 34, weights{"FARGATE": 2, "FARGATE_SPOT": 1}},
		{1, 99, weights{"FARGATE": 1}},
	} {
		got := weights{}
		for _, item := range *capacity(&params.Params{FleetSize: c.size, SpotShare: c.share}) {
			got[*item.CapacityProvider] = *item.Weight
		}
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(c.want)
		if string(g) != string(w) {
			t.Errorf("%d tasks, %d%%: %s, want %s", c.size, c.share, g, w)
		}
	}
	_, service := synth(t, full).proxy.only(t, "AWS::ECS::Service")
	equal(t, "10 tasks, 35%", service["CapacityProviderStrategy"], `[{"CapacityProvider": "FARGATE", "Weight": 7}, {"CapacityProvider": "FARGATE_SPOT", "Weight": 3}]`)
}
