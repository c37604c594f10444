package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"squidfleet/params"
)

// tagged and tagless are the types of a fleet's resources, by whether they take tags.
var (
	tagged = strings.Fields(`
		AWS::CertificateManager::Certificate AWS::CloudWatch::Alarm AWS::CloudWatch::Dashboard
		AWS::EC2::InternetGateway AWS::EC2::RouteTable AWS::EC2::SecurityGroup AWS::EC2::Subnet AWS::EC2::VPC
		AWS::EC2::VPCEndpointService AWS::ECS::Cluster AWS::ECS::Service AWS::ECS::TaskDefinition
		AWS::ElasticLoadBalancingV2::Listener AWS::ElasticLoadBalancingV2::LoadBalancer
		AWS::ElasticLoadBalancingV2::TargetGroup AWS::Events::Rule AWS::IAM::Role AWS::Logs::LogGroup AWS::SNS::Topic
		AWS::SQS::Queue AWS::Scheduler::ScheduleGroup AWS::SecretsManager::Secret`)
	tagless = strings.Fields(`
		AWS::EC2::Route AWS::EC2::SecurityGroupIngress AWS::EC2::SubnetRouteTableAssociation AWS::EC2::VPCCidrBlock
		AWS::EC2::VPCEndpointServicePermissions AWS::EC2::VPCGatewayAttachment AWS::Logs::MetricFilter
		AWS::Logs::QueryDefinition AWS::Route53::RecordSet AWS::SNS::Subscription AWS::SNS::TopicPolicy
		AWS::SQS::QueuePolicy AWS::Scheduler::Schedule`)
)

// stackPromises are about all resources, and about what people see of them.
func (a *Assembly) stackPromises() []Promise {
	return []Promise{
		{"types", "README.md", "There is no NAT gateway, no Lambda, no disk cache and no custom resource", a.types()},
		{"names", "docs/parameters.md", "an account can hold several fleets", a.names()},
		{"removal", "README.md", "`cdk destroy` removes all of it", cmp.Or(
			a.matches(stack, "properties.terminationProtection", "^(false)?$"),
			a.is(balancer, "LoadBalancerAttributes.deletion_protection.enabled", "false"),
			a.matches("", "DeletionPolicy", "^(Delete)?$"), a.matches("", "UpdateReplacePolicy", "^(Delete)?$"))},
		{"outputs", "docs/operate.md", "in the outputs of the stack", a.outputs()},
		{"alarms", "docs/operate.md", "what each alarm means and what to do", a.alarms()},
		{"tags", "docs/parameters.md", "tags of the stacks and of every resource that takes some", a.tags()},
	}
}

func (a *Assembly) types() *Finding {
	return a.each("", func(r *resource) string {
		if !slices.Contains(tagged, r.kind) && !slices.Contains(tagless, r.kind) {
			return "is a " + r.kind + ", which no fleet has"
		}
		return ""
	})
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

// alarms: alarms and events reach who is to get them, and nobody else. A metric that ends when
// nothing runs is no alarm where that is meant. Metrics of the log exist from the first line on.
func (a *Assembly) alarms() *Finding {
	const alarm, events, subscription = "AWS::CloudWatch::Alarm", "AWS::Events::Rule", "AWS::SNS::Subscription"
	p := a.Params
	to, few := cmp.Or(p.AlarmTopicARN, a.one("AWS::SNS::Topic").ref()), "breaching"
	if len(p.ActiveHours.Days) > 0 {
		few = "notBreaching"
	}
	if n := len(a.all(alarm)); (n > 0) != (p.AlarmEmail+p.AlarmTopicARN != "") || n > 10 {
		return a.wrong("there are %d alarms", n)
	}
	return cmp.Or(a.lists(subscription, "Endpoint", strings.Fields(p.AlarmEmail)),
		a.is(subscription, "Protocol", "email"), a.is(subscription, "TopicArn", to),
		a.is(alarm, "AlarmActions", []string{to}), a.is(alarm, "OKActions", []string{to}),
		a.is(events, "Targets.*.Arn", to),
		a.matches(alarm, "AlarmDescription", `docs/operate\.md#alarms, \w+$`),
		a.is("AWS::Logs::MetricFilter", "MetricTransformations.*.DefaultValue", "0"),
		a.is("AWS::SNS::TopicPolicy", "PolicyDocument.Statement.*.Action", "sns:Publish"),
		a.matches("AWS::SNS::TopicPolicy", "PolicyDocument.Statement.*.Principal.Service", `\.amazonaws\.com$`),
		a.each(alarm, func(r *resource) string {
			counts := r.text("Metrics.0.MetricStat.Metric.MetricName") == "HealthyHostCount"
			if got := r.text("TreatMissingData"); counts && got != few || !counts && got == "breaching" {
				return "TreatMissingData: is " + got
			}
			return ""
		}))
}

// tags: what takes tags has those of the parameters.
func (a *Assembly) tags() (found *Finding) {
	for _, tag := range a.Params.Tags {
		key, value, _ := strings.Cut(tag, "=")
		for _, kind := range tagged {
			found = cmp.Or(found, a.is(kind, "Tags."+key, value))
		}
	}
	return found
}
