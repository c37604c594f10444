package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// Fargate's capacity providers.
const (
	onDemand = "FARGATE"
	spot     = "FARGATE_SPOT"
)

// platformVersion is what LATEST means today. It is pinned so that a new platform comes with a
// deployment and not with the next rotation.
const platformVersion = "1.4.0"

// address is an egress address: a service of one task.
type address struct {
	number  int
	service awsecs.CfnService
}

func newCluster(stack awscdk.Stack) awsecs.CfnCluster {
	return awsecs.NewCfnCluster(stack, jsii.String("Cluster"), &awsecs.CfnClusterProps{
		CapacityProviders: &[]any{onDemand, spot},
		// Container Insights are billed by the metric; the load balancer's and the services' own
		// metrics are not.
		ClusterSettings: &[]*awsecs.CfnCluster_ClusterSettingsProperty{{
			Name:  jsii.String("containerInsights"),
			Value: jsii.String("disabled"),
		}},
	})
}

// newAddresses makes the addresses. What belongs to one does not depend on how many there are:
// another fleetSize adds or removes the last ones.
func newAddresses(n network, p *params.Params, cluster awsecs.CfnCluster, task awsecs.CfnTaskDefinition, f firewall,
	e endpoint) (all []address) {
	for number := 1; number <= p.FleetSize; number++ {
		entries := []entry{e.common}
		if port := p.AddressPort(number); port > 0 {
			entries = append(entries, e.newEntry(n, p, fmt.Sprintf("Targets%d", number), port))
		}
		all = append(all, address{number, newService(n, p, number, cluster, task, f, entries)})
	}
	return all
}

// newService runs one task, which each of the entries leads to.
func newService(n network, p *params.Params, number int, cluster awsecs.CfnCluster, task awsecs.CfnTaskDefinition,
	f firewall, entries []entry) awsecs.CfnService {
	service := awsecs.NewCfnService(n.stack, jsii.Sprintf("Service%d", number), &awsecs.CfnServiceProps{
		Cluster:        cluster.Ref(),
		TaskDefinition: task.Ref(),
		// There is no DesiredCount. CloudFormation then starts one task, and leaves a stopped
		// address stopped.
		//
		// There is always a strategy, never a launch type: changing from one to the other replaces
		// the service.
		CapacityProviderStrategy: &[]*awsecs.CfnService_CapacityProviderStrategyItemProperty{{
			CapacityProvider: jsii.String(provider(p, number)),
			Weight:           jsii.Number(1),
		}},
		PlatformVersion: jsii.String(platformVersion),
		NetworkConfiguration: &awsecs.CfnService_NetworkConfigurationProperty{
			AwsvpcConfiguration: &awsecs.CfnService_AwsVpcConfigurationProperty{
				// The address itself.
				AssignPublicIp: jsii.String("ENABLED"),
				SecurityGroups: &[]*string{f.tasks.AttrGroupId()},
				Subnets:        n.vpc.SelectSubnets(n.taskSubnets).SubnetIds,
			},
		},
		LoadBalancers: properties(entries, func(e entry) *awsecs.CfnService_LoadBalancerProperty {
			return &awsecs.CfnService_LoadBalancerProperty{
				TargetGroupArn: e.targets.TargetGroupArn(),
				ContainerName:  jsii.String(containerName),
				ContainerPort:  jsii.Number(p.ListenerPort),
			}
		}),
		DeploymentConfiguration: &awsecs.CfnService_DeploymentConfigurationProperty{
			// The new task serves before the old one leaves.
			MinimumHealthyPercent: jsii.Number(100),
			MaximumPercent:        jsii.Number(200),
			DeploymentCircuitBreaker: &awsecs.CfnService_DeploymentCircuitBreakerProperty{
				Enable:   jsii.Bool(true),
				Rollback: jsii.Bool(true),
			},
		},
		// A new target takes some health checks before it counts as healthy.
		HealthCheckGracePeriodSeconds: jsii.Number(60),
		// One task is in one zone; there is nothing to balance.
		AvailabilityZoneRebalancing: jsii.String("DISABLED"),
		// The tags reach the task, so that a bill can show its cost.
		EnableEcsManagedTags: jsii.Bool(true),
		PropagateTags:        jsii.String("SERVICE"),
		Tags: &[]*awscdk.CfnTag{{
			Key: jsii.String(params.AddressTag), Value: jsii.Sprintf("%d", number),
		}},
	})
	// ECS refuses a target group that no load balancer uses. A task that starts before the
	// firewall admits the health check counts as unhealthy. Nothing in the service refers to
	// either.
	service.Node().AddDependency(f.fromLoadBalancer)
	for _, e := range entries {
		service.Node().AddDependency(e.listener)
	}
	return service
}

// provider returns where an address runs. The last ones are on Spot.
func provider(p *params.Params, number int) string {
	if number > p.FleetSize-p.SpotAddresses() {
		return spot
	}
	return onDemand
}
