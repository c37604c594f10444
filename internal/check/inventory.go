package check

import (
	"maps"
	"slices"
	"strings"
)

// inventory counts the resources: a fleet has so many of each type and none of any other. In particular no Lambda function, no custom resource, no NAT gateway, no policy beside the
// roles' own.
func (f *fleet) inventory() {
	rotation := 0
	if f.RotateEvery != 0 {
		rotation = 1
	}
	f.count(f.proxy, map[string]int{
		"AWS::EC2::SecurityGroup":                   2,
		"AWS::EC2::SecurityGroupIngress":            1,
		"AWS::ECS::Cluster":                         1,
		"AWS::ECS::Service":                         1,
		"AWS::ECS::TaskDefinition":                  1,
		"AWS::ElasticLoadBalancingV2::Listener":     1,
		"AWS::ElasticLoadBalancingV2::LoadBalancer": 1,
		"AWS::ElasticLoadBalancingV2::TargetGroup":  1,
		"AWS::IAM::Role":                            1 + rotation,
		"AWS::Logs::LogGroup":                       1,
		"AWS::SQS::Queue":                           rotation,
		"AWS::SQS::QueuePolicy":                     rotation,
		"AWS::Scheduler::Schedule":                  rotation,
		"AWS::Scheduler::ScheduleGroup":             rotation,
		"AWS::SecretsManager::Secret":               len(f.handedOver()),
	})
	if f.network == nil {
		return
	}
	f.count(f.network, map[string]int{
		"AWS::EC2::InternetGateway":             1,
		"AWS::EC2::Route":                       3 * zones, // one more for the load balancer's subnets' IPv6
		"AWS::EC2::RouteTable":                  2 * zones,
		"AWS::EC2::Subnet":                      2 * zones,
		"AWS::EC2::SubnetRouteTableAssociation": 2 * zones,
		"AWS::EC2::VPC":                         1,
		"AWS::EC2::VPCCidrBlock":                1,
		"AWS::EC2::VPCGatewayAttachment":        1,
	})
}

func (f *fleet) count(s *Stack, want map[string]int) {
	got := map[string]int{}
	for _, r := range f.resources {
		if r.stack != s {
			continue
		}
		got[r.kind]++
		if _, known := want[r.kind]; !known {
			r.claimed = true // told here
			f.at(r, "resource-type", "a fleet has no %s", r.kind)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(want)) {
		if got[kind] != want[kind] {
			f.report(s.Name, none, "resource-count", "%d resources of type %s, want %d", got[kind], kind, want[kind])
		}
	}
}

// all returns the resources of a type.
func (f *fleet) all(kind string) []*resource {
	var found []*resource
	for _, r := range f.resources {
		if r.kind == kind {
			found = append(found, r)
		}
	}
	return found
}

// first returns the first resource of a type; inventory has told when there is another number than one.
func (f *fleet) first(s *Stack, kind string) *resource {
	if found := f.all(kind); len(found) > 0 {
		return found[0]
	}
	return missing(s)
}

// byReference returns the resource that a canonical value refers to.
func (f *fleet) byReference(value any, kind string) *resource {
	text, _ := value.(string)
	for _, r := range f.resources {
		for _, target := range references(text) {
			if of, ok := strings.CutPrefix(target, r.stack.Name+"/"+r.id); ok && r.kind == kind && (of == "" || of[0] == '.') {
				return r
			}
		}
	}
	return missing(f.proxy)
}

// findRoles finds out which resource does what, from the service outwards.
func (f *fleet) findRoles() {
	f.service = f.first(f.proxy, "AWS::ECS::Service")
	f.task = f.first(f.proxy, "AWS::ECS::TaskDefinition")
	f.cluster = f.first(f.proxy, "AWS::ECS::Cluster")
	f.loadBalancer = f.first(f.proxy, "AWS::ElasticLoadBalancingV2::LoadBalancer")
	f.listener = f.first(f.proxy, "AWS::ElasticLoadBalancingV2::Listener")
	f.targets = f.first(f.proxy, "AWS::ElasticLoadBalancingV2::TargetGroup")
	f.log = f.first(f.proxy, "AWS::Logs::LogGroup")
	f.loadBalancerFirewall = f.byReference(at(f.loadBalancer.properties, "SecurityGroups", 0), "AWS::EC2::SecurityGroup")
	f.taskFirewall = f.byReference(at(f.service.properties, "NetworkConfiguration", "AwsvpcConfiguration", "SecurityGroups", 0), "AWS::EC2::SecurityGroup")
	f.executionRole = f.byReference(at(f.task.properties, "ExecutionRoleArn"), "AWS::IAM::Role")
}

// at walks into a canonical value; it returns nil where the way ends.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			tree, _ := v.(map[string]any)
			v = tree[step]
		case int:
			items, _ := v.([]any)
			if step >= len(items) {
				return nil
			}
			v = items[step]
		}
	}
	return v
}
