package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// service is the running fleet.
type service struct {
	cluster awsecs.CfnCluster
	service awsecs.CfnService
}

// platformVersion is pinned, although it is what LATEST means today: the fleet is replaced every rotateEvery, and a new platform should
// come with a deployment, not with whichever rotation is next.
const platformVersion = "1.4.0"

func newService(n network, p *params.Params, task awsecs.CfnTaskDefinition, f firewall, e entry) service {
	var s service
	s.cluster = awsecs.NewCfnCluster(n.stack, jsii.String("Cluster"), &awsecs.CfnClusterProps{
		CapacityProviders: &[]any{onDemand, spot},
		// Container Insights are billed by the metric; the load balancer's and the service's own metrics are not.
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
				// The address of its own that makes a task worth having.
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
			// The new tasks serve before the first old one leaves: there are never fewer than fleetSize.
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
		// Tags of the stack reach the tasks, so that their cost can be told.
		EnableEcsManagedTags: jsii.Bool(true),
		PropagateTags:        jsii.String("SERVICE"),
	})
	// ECS refuses a target group that no load balancer uses, and a task that is up before the firewall lets the health check through counts as unhealthy. Nothing in the
	// service refers to either.
	s.service.Node().AddDependency(e.listener, f.fromLoadBalancer)
	return s
}
