package check

import (
	"fmt"
	"maps"
	"slices"
)

// Fargate's capacity providers.
const (
	onDemand = "FARGATE"
	spot     = "FARGATE_SPOT"
)

// platformVersion is the one that LATEST stands for, written out so that a new platform comes with a deployment and not with whichever rotation is next.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/platform-fargate.html
const platformVersion = "1.4.0"

// checkService: so many tasks with addresses of their own, behind the load balancer, and never fewer while they are replaced.
func (f *fleet) checkService() {
	f.want(f.cluster, "service", "", object{
		"CapacityProviders": set{onDemand, spot},
		"ClusterSettings":   list{object{"Name": "containerInsights", "Value": "disabled"}},
	})
	f.want(f.service, "service", "", object{
		"Cluster": f.cluster.ref(), "TaskDefinition": f.task.ref(), "DesiredCount": f.FleetSize, "CapacityProviderStrategy": matcher(f.capacity),
		"PlatformVersion": platformVersion, "EnableECSManagedTags": true, "PropagateTags": "SERVICE",
		"AvailabilityZoneRebalancing": "ENABLED",
		// Several health checks long, and not so long that a fleet that does not start looks well.
		"HealthCheckGracePeriodSeconds": 60,
	})
	f.want(f.service, "deployment", "the new tasks serve before the first old one goes, and a deployment that fails is taken back", object{
		"DeploymentConfiguration": object{"MinimumHealthyPercent": 100, "MaximumPercent": 200, "DeploymentCircuitBreaker": object{"Enable": true, "Rollback": true}},
	})
	f.want(f.service, "network", "a task needs a public address, a subnet with a route and the one group that only the load balancer gets through", object{
		"NetworkConfiguration": object{"AwsvpcConfiguration": object{
			"AssignPublicIp": "ENABLED", "SecurityGroups": list{f.taskFirewall.att("GroupId")}, "Subnets": f.subnetList(),
		}},
	})
	if f.network == nil {
		// A task in a zone where the load balancer has no subnet gets no connections.
		entry, _ := textsOf(f.loadBalancerSubnets())
		if tasks, ok := textsOf(f.taskSubnets()); ok && !slices.Equal(slices.Sorted(slices.Values(tasks)), slices.Sorted(slices.Values(entry))) {
			f.at(f.service, "network", "Properties.NetworkConfiguration.AwsvpcConfiguration.Subnets: is %s, want the load balancer's, %s", show(f.taskSubnets()), show(f.loadBalancerSubnets()))
		}
	}
	f.want(f.service, "targets", "", object{"LoadBalancers": list{object{
		"ContainerName": containerName, "ContainerPort": f.ListenerPort, "TargetGroupArn": f.targets.ref(),
	}}})
	f.dependsOn(f.service, f.listener, "service", "ECS refuses a target group that no listener uses")
	for _, r := range f.all("AWS::EC2::SecurityGroupIngress") {
		f.dependsOn(f.service, r, "service", "a task that the load balancer cannot reach yet counts as unhealthy")
	}
}

// capacity compares the providers' weights with the numbers of tasks, in lowest terms. A fraction of a task stays on demand.
func (f *fleet) capacity(got any) string {
	spotTasks := f.FleetSize * f.SpotShare / 100
	most := f.FleetSize
	for spotTasks%most != 0 || f.FleetSize%most != 0 {
		most--
	}
	want := map[string]int{}
	for provider, tasks := range map[string]int{onDemand: f.FleetSize - spotTasks, spot: spotTasks} {
		if tasks > 0 {
			want[provider] = tasks / most
		}
	}
	items, _ := got.([]any)
	weights := map[string]int{}
	for _, item := range items {
		if d := differences("", item, object{"CapacityProvider": pattern(onDemand + "|" + spot), "Weight": between(1, 1000)}); len(d) > 0 {
			return fmt.Sprintf("%s %s", d[0].path, d[0].message)
		}
		provider := at(item, "CapacityProvider").(string)
		if weights[provider] != 0 {
			return "has " + provider + " twice"
		}
		weights[provider], _ = number(at(item, "Weight"))
	}
	if !maps.Equal(weights, want) {
		return fmt.Sprintf("has weights %v, want %v: spotShare is %d", weights, want, f.SpotShare)
	}
	return ""
}
