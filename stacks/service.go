package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// service runs the tasks.
type service struct {
	cluster awsecs.CfnCluster
	service awsecs.CfnService
}

// platformVersion is what LATEST means today. It is pinned so that a new platform comes with a
// deployment and not with the next rotation.
const platformVersion = "1.4.0"

func newService(n network, p *params.Params, task awsecs.CfnTaskDefinition, f firewall, e endpoint) service {
	var s service
	s.cluster = awsecs.NewCfnCluster(n.stack, jsii.String("Cluster"), &awsecs.CfnClusterProps{
		CapacityProviders: &[]any{onDemand, spot},
		// Container Insights are billed by the metric; the load balancer's and the service's own
		// metrics are not.
		ClusterSettings: &[]*awsecs.CfnCluster_ClusterSettingsProperty{{
			Name:  jsii.String("containerInsights"),
			Value: jsii.String("disabled"),
		}},
	})
	s.service = awsecs.NewCfnService(n.stack, jsii.String("Service"), &awsecs.CfnServiceProps{
		Cluster:                  s.cluster.Ref(),
		TaskDefinition:           task.Ref(),
		DesiredCount:             jsii.Number(p.FleetSize),
		CapacityProviderStrategy: capacity(p),
		PlatformVersion:          jsii.String(platformVersion),
		NetworkConfiguration: &awsecs.CfnService_NetworkConfigurationProperty{
			AwsvpcConfiguration: &awsecs.CfnService_AwsVpcConfigurationProperty{
				// The task's own egress address.
				AssignPublicIp: jsii.String("ENABLED"),
				SecurityGroups: &[]*string{f.tasks.AttrGroupId()},
				Subnets:        n.vpc.SelectSubnets(n.taskSubnets).SubnetIds,
			},
		},
		LoadBalancers: &[]*awsecs.CfnService_LoadBalancerProperty{{
			TargetGroupArn: e.targets.TargetGroupArn(),
			ContainerName:  jsii.String(containerName),
			ContainerPort:  jsii.Number(p.ListenerPort),
		}},
		DeploymentConfiguration: &awsecs.CfnService_DeploymentConfigurationProperty{
			// The new tasks serve before the first old one leaves: there are always at least
			// fleetSize.
			MinimumHealthyPercent: jsii.Number(100),
			MaximumPercent:        jsii.Number(200),
			DeploymentCircuitBreaker: &awsecs.CfnService_DeploymentCircuitBreakerProperty{
				Enable:   jsii.Bool(true),
				Rollback: jsii.Bool(true),
			},
		},
		// A new target takes some health checks before it counts as healthy.
		HealthCheckGracePeriodSeconds: jsii.Number(60),
		AvailabilityZoneRebalancing:   jsii.String("ENABLED"),
		// The stack's tags reach the tasks, so that a bill can show their cost.
		EnableEcsManagedTags: jsii.Bool(true),
		PropagateTags:        jsii.String("SERVICE"),
	})
	// ECS refuses a target group that no load balancer uses. A task that starts before the
	// firewall admits the health check counts as unhealthy. Nothing in the service refers to
	// either.
	s.service.Node().AddDependency(e.listener, f.fromLoadBalancer)
	return s
}
