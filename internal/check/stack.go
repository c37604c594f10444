package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"squidfleet/params"
)

// types are those of a fleet's resources.
var types = strings.Fields(`
	AWS::CertificateManager::Certificate AWS::CloudWatch::Alarm AWS::CloudWatch::Dashboard AWS::EC2::InternetGateway
	AWS::EC2::Route AWS::EC2::RouteTable AWS::EC2::SecurityGroup AWS::EC2::SecurityGroupIngress AWS::EC2::Subnet
	AWS::EC2::SubnetRouteTableAssociation AWS::EC2::VPC AWS::EC2::VPCCidrBlock AWS::EC2::VPCEndpointService
	AWS::EC2::VPCEndpointServicePermissions AWS::EC2::VPCGatewayAttachment AWS::ECS::Cluster AWS::ECS::Service
	AWS::ECS::TaskDefinition AWS::ElasticLoadBalancingV2::Listener AWS::ElasticLoadBalancingV2::LoadBalancer
	AWS::ElasticLoadBalancingV2::TargetGroup AWS::Events::Rule AWS::IAM::Role AWS::Logs::LogGroup
	AWS::Logs::MetricFilter AWS::Logs::QueryDefinition AWS::Route53::RecordSet AWS::SNS::Subscription AWS::SNS::Topic
	AWS::SNS::TopicPolicy AWS::SQS::Queue AWS::SQS::QueuePolicy AWS::Scheduler::Schedule AWS::Scheduler::ScheduleGroup
	AWS::SecretsManager::Secret`)

// stackPromises are about all resources, and about what people see of them.
func (a *Assembly) stackPromises() []Promise {
	return []Promise{
		{"types", "README.md", "There is no NAT gateway, no Lambda, no disk cache and no custom resource",
			a.each("", func(r *resource) string {
				if !slices.Contains(types, r.kind) {
					return "is a " + r.kind + ", which no fleet has"
				}
				return ""
			})},
		{"names", "docs/parameters.md", "an account can hold several fleets", a.names()},
		{"removal", "README.md", "`cdk destroy` removes all of it", cmp.Or(
			a.matches(stack, "properties.terminationProtection", "^(false)?$"),
			a.is(balancer, "LoadBalancerAttributes.deletion_protection.enabled", "false"),
			a.matches("", "DeletionPolicy", "^(Delete)?$"), a.matches("", "UpdateReplacePolicy", "^(Delete)?$"))},
		{"outputs", "docs/operate.md", "in the outputs of the stack", a.outputs()},
	}
}

// names: nothing has a name of its own, which one in an account can have. A reference is no name,
// the proxy's name in the DNS is a parameter, and a query's begins with the fleet's.
func (a *Assembly) names() *Finding {
	return cmp.Or(a.is(outputs, "*.Export", nil), a.each("", func(r *resource) string {
		properties, _ := r.properties.(map[string]any)
		for key, value := range properties {
			name := text(value)
			free := a.referred(name).kind != "" || name == a.Params.DomainName ||
				r.kind == "AWS::Logs::QueryDefinition" && strings.HasPrefix(name, a.Params.StackName+"/")
			if (key == "Family" || strings.HasSuffix(key, "Name")) && name != "" && !free {
				return fmt.Sprintf("%s: is %q, want it left out", key, name)
			}
		}
		return ""
	}))
}

// outputs: people and the operator's command find what they need.
func (a *Assembly) outputs() *Finding {
	p, scheme := a.Params, "http"
	if a.encrypted() {
		scheme = "https"
	}
	host := cmp.Or(p.DomainName, a.one(balancer).att("DNSName"))
	found := cmp.Or(a.is(outputs, "Endpoint.Value", fmt.Sprintf("%s:%d", host, p.ListenerPort)),
		a.is(outputs, "Scheme.Value", scheme), a.is(outputs, "ClusterName.Value", a.one(cluster).ref()),
		a.is(outputs, "LogGroup.Value", a.one(task).text(logGroup)),
		a.is(outputs, "RotateEvery.Value", params.FormatPeriod(p.RotateEvery)))
	if len(a.all(schedule)) > 0 {
		found = cmp.Or(found, a.is(outputs, "RotationFailures.Value", a.one(queue).ref()))
	}
	return found
}
