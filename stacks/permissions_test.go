package stacks_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/doctest"
	"squidfleet/internal/must"
	"squidfleet/params"
)

// furtherPolicies are what it needs besides, by types of resources: for a name, TLS and
// PrivateLink, and for monitoring. One policy would be too long.
var furtherPolicies = map[string][]string{
	"../docs/execution-policy-endpoint.json": {
		"AWS::CertificateManager::Certificate", "AWS::EC2::VPCEndpointService",
		"AWS::EC2::VPCEndpointServicePermissions", "AWS::Route53::RecordSet",
	},
	monitoringPolicy: {
		"AWS::CloudWatch::Dashboard", "AWS::CloudWatch::Alarm", "AWS::Events::Rule", "AWS::Logs::MetricFilter",
		"AWS::Logs::QueryDefinition",
		"AWS::SNS::Subscription", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy",
	},
}

const monitoringPolicy = "../docs/execution-policy-monitoring.json"

// executionPolicy is what CloudFormation needs to make, change and delete the fleet.
const executionPolicy = "../docs/execution-policy.json"

// maxManagedPolicy is how many characters besides white space IAM takes:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxManagedPolicy = 6144

// actions are what the handlers of a resource type call, as the type's schema declares them
// (https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html).
//
// The schemas of certificates and records declare none: theirs are those of the Service
// Authorization Reference that make, change and delete one, and that both services document for
// validation by DNS. That of query definitions names an action that IAM does not have.
//
// Left out are those for properties that no template sets: virtual private gateways, IPAM,
// customers' keys, replicas, capacity reservations, log delivery and index policies, users' pools.
var actions = read(`
AWS::CertificateManager::Certificate acm: RequestCertificate DeleteCertificate DescribeCertificate
  AddTagsToCertificate ListTagsForCertificate RemoveTagsFromCertificate route53: ChangeResourceRecordSets
AWS::EC2::VPCEndpointService ec2: CreateVpcEndpointServiceConfiguration
  DeleteVpcEndpointServiceConfigurations ModifyVpcEndpointServiceConfiguration
  DescribeVpcEndpointServiceConfigurations DescribeVpcEndpointServicePermissions CreateTags DeleteTags
AWS::EC2::VPCEndpointServicePermissions ec2: ModifyVpcEndpointServicePermissions
  DescribeVpcEndpointServicePermissions
AWS::Route53::RecordSet route53: ChangeResourceRecordSets GetChange GetHostedZone ListResourceRecordSets
AWS::EC2::InternetGateway ec2: CreateInternetGateway DeleteInternetGateway DescribeInternetGateways
  CreateTags DeleteTags
AWS::EC2::Route ec2: CreateRoute DeleteRoute ReplaceRoute DescribeNetworkInterfaces DescribeRouteTables
AWS::EC2::RouteTable ec2: CreateRouteTable DeleteRouteTable DescribeRouteTables CreateTags DeleteTags
AWS::EC2::SecurityGroup ec2: CreateSecurityGroup DeleteSecurityGroup AuthorizeSecurityGroupEgress
  AuthorizeSecurityGroupIngress RevokeSecurityGroupEgress RevokeSecurityGroupIngress
  UpdateSecurityGroupRuleDescriptionsEgress UpdateSecurityGroupRuleDescriptionsIngress DescribeInstances
  DescribeSecurityGroups CreateTags DeleteTags
AWS::EC2::SecurityGroupIngress ec2: AuthorizeSecurityGroupIngress RevokeSecurityGroupIngress
  UpdateSecurityGroupRuleDescriptionsIngress DescribeSecurityGroupRules DescribeSecurityGroups
AWS::EC2::Subnet ec2: CreateSubnet DeleteSubnet ModifySubnetAttribute AssociateSubnetCidrBlock
  DisassociateSubnetCidrBlock DescribeNetworkAcls DescribeSubnets CreateTags DeleteTags
AWS::EC2::SubnetRouteTableAssociation ec2: AssociateRouteTable DisassociateRouteTable
  ReplaceRouteTableAssociation DescribeRouteTables DescribeSubnets
AWS::EC2::VPC ec2: CreateVpc DeleteVpc ModifyVpcAttribute ModifyVpcTenancy DescribeNetworkAcls
  DescribeSecurityGroups DescribeVpcAttribute DescribeVpcEncryptionControls DescribeVpcs CreateTags
  DeleteTags
AWS::EC2::VPCCidrBlock ec2: AssociateVpcCidrBlock DisassociateVpcCidrBlock DescribeVpcs
AWS::EC2::VPCGatewayAttachment ec2: AttachInternetGateway DetachInternetGateway DescribeInternetGateways
  DescribeVpnGateways
AWS::ECS::Cluster ecs: CreateCluster DeleteCluster UpdateCluster UpdateClusterSettings
  PutClusterCapacityProviders DescribeClusters TagResource ListTagsForResource UntagResource iam:
  CreateServiceLinkedRole
AWS::ECS::Service ecs: CreateService DeleteService UpdateService StopServiceDeployment
  DescribeServiceDeployments DescribeServices ListServiceDeployments TagResource ListTagsForResource
  UntagResource
AWS::ECS::TaskDefinition ecs: RegisterTaskDefinition DeregisterTaskDefinition DescribeTaskDefinition
  TagResource ListTagsForResource UntagResource iam: GetRole PassRole
AWS::ElasticLoadBalancingV2::Listener elasticloadbalancing: CreateListener DeleteListener ModifyListener
  ModifyListenerAttributes DescribeListenerAttributes DescribeListeners AddTags DescribeTags RemoveTags
AWS::ElasticLoadBalancingV2::LoadBalancer elasticloadbalancing: CreateLoadBalancer DeleteLoadBalancer
  ModifyLoadBalancerAttributes SetIpAddressType SetSecurityGroups SetSubnets DescribeCapacityReservation
  DescribeLoadBalancerAttributes DescribeLoadBalancers AddTags DescribeTags RemoveTags iam:
  CreateServiceLinkedRole
AWS::ElasticLoadBalancingV2::TargetGroup elasticloadbalancing: CreateTargetGroup DeleteTargetGroup
  ModifyTargetGroup ModifyTargetGroupAttributes DescribeTargetGroupAttributes DescribeTargetGroups
  DescribeTargetHealth AddTags DescribeTags RemoveTags
AWS::IAM::Role iam: CreateRole DeleteRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy
  PutRolePolicy PutRolePermissionsBoundary DeleteRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies
  ListRolePolicies TagRole UntagRole
AWS::Logs::LogGroup logs: CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy
  DescribeIndexPolicies DescribeLogGroups DescribeResourcePolicies GetDataProtectionPolicy
  ListTagsForResource TagResource UntagResource
AWS::CloudWatch::Alarm cloudwatch: PutMetricAlarm DeleteAlarms DescribeAlarms TagResource
  ListTagsForResource UntagResource
AWS::CloudWatch::Dashboard cloudwatch: PutDashboard GetDashboard DeleteDashboards TagResource
  ListTagsForResource UntagResource
AWS::Events::Rule events: PutRule PutTargets DeleteRule RemoveTargets DescribeRule ListTargetsByRule
  TagResource ListTagsForResource UntagResource
AWS::Logs::MetricFilter logs: PutMetricFilter DeleteMetricFilter DescribeMetricFilters
AWS::SNS::Subscription sns: Subscribe Unsubscribe GetSubscriptionAttributes SetSubscriptionAttributes
  ListSubscriptionsByTopic
AWS::SNS::Topic sns: CreateTopic DeleteTopic GetTopicAttributes SetTopicAttributes Subscribe Unsubscribe
  ListSubscriptionsByTopic GetDataProtectionPolicy PutDataProtectionPolicy TagResource ListTagsForResource
  UntagResource
AWS::SNS::TopicPolicy sns: SetTopicAttributes
AWS::Logs::QueryDefinition logs: PutQueryDefinition DeleteQueryDefinition DescribeQueryDefinitions
AWS::SQS::Queue sqs: CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl SetQueueAttributes ListQueueTags
  TagQueue UntagQueue
AWS::SQS::QueuePolicy sqs: SetQueueAttributes
AWS::Scheduler::Schedule scheduler: CreateSchedule DeleteSchedule GetSchedule UpdateSchedule iam: PassRole
AWS::Scheduler::ScheduleGroup scheduler: CreateScheduleGroup DeleteScheduleGroup DeleteSchedule
  GetScheduleGroup ListTagsForResource TagResource UntagResource
AWS::SecretsManager::Secret secretsmanager: CreateSecret DeleteSecret UpdateSecret DescribeSecret
  GetRandomPassword GetSecretValue TagResource UntagResource
`)

// callers are what a service checks on who calls it although the handler's schema does not list it:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html and
// https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/3917. The other services want
// nothing else, as the Service Authorization Reference says ("Dependent actions").
var callers = read(`
AWS::ElasticLoadBalancingV2::LoadBalancer ec2: DescribeAccountAttributes DescribeAddresses
  DescribeInternetGateways DescribeSecurityGroups DescribeSubnets DescribeVpcs GetSecurityGroupsForVpc
AWS::ElasticLoadBalancingV2::TargetGroup ec2: DescribeInternetGateways DescribeVpcs
`)

// read returns a table's actions by type, each with its service.
func read(table string) map[string][]string {
	kind, service, all := "", "", map[string][]string{}
	for word := range strings.FieldsSeq(table) {
		switch {
		case strings.HasPrefix(word, "AWS::"):
			kind = word
		case strings.HasSuffix(word, ":"):
			service = word
		default:
			all[kind] = append(all[kind], service+word)
		}
	}
	return all
}

// These three have statements of their own.
const (
	passRole          = "iam:PassRole"
	serviceLinkedRole = "iam:CreateServiceLinkedRole"
	readSecret        = "secretsmanager:GetSecretValue"
)

func actionsOf(kind string) []string { return slices.Concat(actions[kind], callers[kind]) }

// serviceLinked are the services that make a role for themselves when an account first uses them.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
var serviceLinked = map[string]string{
	"AWS::ECS::Cluster":                         "ecs.amazonaws.com",
	"AWS::ElasticLoadBalancingV2::LoadBalancer": "elasticloadbalancing.amazonaws.com",
}

// functions are the actions that CloudFormation takes to compute an intrinsic function, as the
// function's page in CloudFormation's template reference says.
var functions = map[string][]string{
	"Fn::GetAZs": {"ec2:DescribeAccountAttributes", "ec2:DescribeAvailabilityZones", "ec2:DescribeSubnets"},
}

// named are the actions on resources whose CloudFormation name begins with the stack's name:
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html and, for
// each type, "Return values". A service's ARN begins with its cluster's name.
var named = []struct {
	sid, resource string
	actions       *regexp.Regexp
}{
	{"iamRole", "iam::*:role/", regexp.MustCompile(`^iam:`)},
	{"snsTopic", "sns:*:*:", regexp.MustCompile(`^sns:(?:Subscribe|.*(?:Topic|Resource|DataProtectionPolicy).*)$`)},
	{"eventsRule", "events:*:*:rule/", regexp.MustCompile(`^events:`)},
	{"cloudwatchAlarm", "cloudwatch:*:*:alarm:", regexp.MustCompile(`^cloudwatch:(?:PutMetricAlarm|DeleteAlarms)$`)},
	{"sqsQueue", "sqs:*:*:", regexp.MustCompile(`^sqs:`)},
	{"logsGroup", "logs:*:*:log-group:", regexp.MustCompile(`^logs:(?:Create|Delete|Put|Get|List|Tag|Untag)[^Q]`)},
	{"ecsCluster", "ecs:*:*:cluster/", regexp.MustCompile(`^ecs:(?:Delete|Update|Put)Cluster`)},
	{"ecsService", "ecs:*:*:service/", regexp.MustCompile(`^ecs:(?:Create|Delete|Update)Service$`)},
}

// of returns the ARN of the resources of a kind whose name begins with the stack's, in every
// partition.
func of(kind, stackName string) string { return "arn:*:" + kind + stackName + "-*" }

// ofStack is true of the secrets of the stack. CloudFormation tags them (see "tagging" in the
// type's schema) and gives them names that say nothing of the stack.
func ofStack(stackName string) map[string]map[string][]string {
	return map[string]map[string][]string{"StringLike": {
		"secretsmanager:ResourceTag/aws:cloudformation:stack-name": {stackName + "-*"},
	}}
}

// onWhat returns the id of an action's statement and the resource on which the action is allowed.
func onWhat(action, stackName string) (sid, resource string) {
	for _, n := range named {
		if n.actions.MatchString(action) {
			return n.sid, of(n.resource, stackName)
		}
	}
	service, _, _ := strings.Cut(action, ":")
	return service, "*"
}

type statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  string
	Condition map[string]map[string][]string `json:",omitempty"`
}

// grouped returns statements that allow actions, one for each kind of resource.
func grouped(stackName string, actions []string) (policy []statement) {
	slices.Sort(actions)
	for _, action := range slices.Compact(actions) {
		sid, resource := onWhat(action, stackName)
		i := slices.IndexFunc(policy, func(s statement) bool { return s.Sid == sid })
		if i < 0 {
			i, policy = len(policy), append(policy, statement{Sid: sid, Effect: "Allow", Resource: resource})
		}
		policy[i].Action = append(policy[i].Action, action)
	}
	slices.SortFunc(policy, func(a, b statement) int { return strings.Compare(a.Sid, b.Sid) })
	return policy
}

// policyOf derives the policy from the resources, functions and parameters of templates.
func policyOf(t *testing.T, stackName string, templates []template) []statement {
	t.Helper()
	var called []string
	passed, linked := map[string]bool{}, map[string]bool{}
	outputs, parameter := false, ""
	elsewhere := slices.Concat(slices.Collect(maps.Values(furtherPolicies))...)
	for _, one := range templates {
		for _, read := range one.Parameters {
			if strings.HasPrefix(read.Type, "AWS::SSM::Parameter::") {
				parameter = read.Default
			}
		}
		for id, r := range one.Resources {
			if slices.Contains(elsewhere, r.Type) {
				continue
			}
			needed := actionsOf(r.Type)
			if len(needed) == 0 {
				t.Errorf("%s is a %s: say in actions what CloudFormation needs to make one", id, r.Type)
			}
			for _, action := range needed {
				switch action {
				case passRole, readSecret:
				case serviceLinkedRole:
					linked[serviceLinked[r.Type]] = true
				default:
					called = append(called, action)
				}
			}
			if r.Type == "AWS::IAM::Role" {
				passed[trusted(t, id, r)] = true
			}
			text, err := json.Marshal(r.Properties)
			must.OK(t, err)
			outputs = outputs || bytes.Contains(text, []byte(`"Fn::GetStackOutput"`))
			for function, needed := range functions {
				if bytes.Contains(text, []byte(`"`+function+`"`)) {
					called = append(called, needed...)
				}
			}
		}
	}
	policy := grouped(stackName, called)
	add := func(sid, resource string, condition map[string]map[string][]string, actions ...string) {
		slices.Sort(actions)
		policy = append(policy, statement{sid, "Allow", actions, resource, condition})
	}
	equals := func(key string, values map[string]bool) map[string]map[string][]string {
		return map[string]map[string][]string{"StringEquals": {key: slices.Sorted(maps.Keys(values))}}
	}
	add("PassRole", of("iam::*:role/", stackName), equals("iam:PassedToService", passed), passRole)
	add("ReadSecrets", "*", ofStack(stackName), readSecret)
	add("ServiceLinkedRoles", "arn:*:iam::*:role/aws-service-role/*", equals("iam:AWSServiceName", linked),
		serviceLinkedRole)
	if parameter != "" {
		// For the template's check of the bootstrap version, CloudFormation reads a parameter.
		add("BootstrapVersion", "arn:*:ssm:*:*:parameter"+parameter, nil, "ssm:GetParameters")
	}
	if outputs {
		// The page of Fn::GetStackOutput in CloudFormation's template reference says so.
		add("OutputsOfTheNetwork", of("cloudformation:*:*:stack/", stackName), nil,
			"cloudformation:DescribeStacks")
	}
	return policy
}

// trusted returns the service that a role trusts. The role is passed to no other.
func trusted(t *testing.T, id string, r resource) string {
	t.Helper()
	document := r.Properties["AssumeRolePolicyDocument"].(map[string]any)
	statements := document["Statement"].([]any)
	if len(statements) != 1 {
		t.Fatalf("%s: %d statements of trust", id, len(statements))
	}
	service, ok := statements[0].(map[string]any)["Principal"].(map[string]any)["Service"].(string)
	if !ok {
		t.Fatalf("%s trusts another than a service: %v", id, statements[0])
	}
	return service
}

func TestExecutionPolicyIsWhatTheTemplatesNeed(t *testing.T) {
	all := everyCase(t)
	seen := map[string]bool{}
	for _, one := range all {
		for _, r := range one.Resources {
			seen[r.Type] = true
		}
	}
	for kind := range actions {
		if !seen[kind] {
			t.Errorf("actions has %s, which no template has", kind)
		}
	}
	name := defaultName()
	statements := policyOf(t, name, all)
	// Whatever has a name is deleted only if the name is of this fleet.
	deletes := []string{
		"sqs:DeleteQueue", "logs:DeleteLogGroup", "ecs:DeleteCluster", "ecs:DeleteService", "iam:DeleteRole",
	}
	forbidden := []string{
		"iam:AttachRolePolicy", "iam:PutUserPolicy", "iam:CreateUser", "iam:DeleteRolePermissionsBoundary",
	}
	for _, s := range statements {
		for _, action := range s.Action {
			if slices.Contains(deletes, action) && !strings.Contains(s.Resource, name+"-*") {
				t.Errorf("%s is allowed on %s", action, s.Resource)
			}
			if action == readSecret && !reflect.DeepEqual(s.Condition, ofStack(name)) {
				t.Errorf("%s is allowed if %v", action, s.Condition)
			}
			if slices.Contains(forbidden, action) || strings.HasSuffix(action, ":*") {
				t.Errorf("the policy allows %s", action)
			}
		}
	}
	policyFile(t, executionPolicy, statements)

	for path, kinds := range furtherPolicies {
		var needed []string
		for _, kind := range kinds {
			needed = append(needed, actionsOf(kind)...)
		}
		policyFile(t, path, grouped(name, needed))
	}
}

func everyCase(t *testing.T) (all []template) {
	t.Helper()
	for _, c := range cdkcontext.Cases {
		all = slices.AppendSeq(all, maps.Values(synthCase(t, c).templates))
	}
	return all
}

func defaultName() string { return params.Declarations()[0].Default.(string) }

// policyFile holds a document to the policy.
func policyFile(t *testing.T, path string, statements []statement) {
	t.Helper()
	policy := struct {
		Statement []statement
		Version   string
	}{statements, "2012-10-17"}
	var text, dense bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	must.OK(t, encoder.Encode(policy))
	must.OK(t, json.Compact(&dense, text.Bytes()))
	if dense.Len() > maxManagedPolicy {
		t.Errorf("%s has %d characters, IAM takes %d", path, dense.Len(), maxManagedPolicy)
	}
	doctest.File(t, path, text.String())
}

// boundary is the most that the fleet's roles may have. For the role of CloudFormation it is a
// second policy, whose Deny keeps that role from making any role without this boundary.
const boundary = "../docs/permissions-boundary.json"

// boundaryName is the name that the documents give to the policy.
const boundaryName = "SquidfleetBoundary"

// boundaryOf derives the boundary from the templates' roles.
func boundaryOf(t *testing.T, stackName string, templates []template) []statement {
	t.Helper()
	var all []string
	for _, one := range templates {
		for _, r := range one.Resources {
			all = append(all, granted(r)...)
		}
	}
	policy := grouped(stackName, all)
	for i, one := range policy {
		if slices.Contains(one.Action, readSecret) {
			policy[i].Condition = ofStack(stackName)
		}
	}
	// The actions that give a role permissions and know the condition key, as the Service
	// Authorization Reference lists them.
	deny := statement{
		Sid: "NoRoleWithoutBoundary", Effect: "Deny", Resource: "*",
		Action: []string{"iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary",
			"iam:PutRolePolicy"},
		Condition: map[string]map[string][]string{"StringNotLike": {
			"iam:PermissionsBoundary": {"arn:*:iam::*:policy/" + boundaryName},
		}},
	}
	return append(policy, deny)
}

// granted returns the actions that a role's policies allow; none for another resource.
func granted(r resource) (all []string) {
	if r.Type != "AWS::IAM::Role" {
		return nil
	}
	policies, _ := r.Properties["Policies"].([]any)
	for _, policy := range policies {
		document := policy.(map[string]any)["PolicyDocument"].(map[string]any)
		for _, one := range document["Statement"].([]any) {
			switch action := one.(map[string]any)["Action"].(type) {
			case string:
				all = append(all, action)
			case []any:
				for _, a := range action {
					all = append(all, a.(string))
				}
			}
		}
	}
	return all
}

func TestPermissionsBoundaryIsWhatTheRolesNeed(t *testing.T) {
	statements := boundaryOf(t, defaultName(), everyCase(t))
	allowed := 0
	for _, s := range statements {
		for _, action := range s.Action {
			if s.Effect == "Deny" {
				continue
			}
			allowed++
			if strings.HasPrefix(action, "iam:") || strings.HasPrefix(action, "sts:") || strings.Contains(action, "*") {
				t.Errorf("the boundary allows %s", action)
			}
			if strings.HasPrefix(action, "secretsmanager:") && (action != readSecret || s.Condition == nil) {
				t.Errorf("the boundary allows %s if %v", action, s.Condition)
			}
		}
	}
	if allowed == 0 {
		t.Error("the boundary allows nothing")
	}
	policyFile(t, boundary, statements)
}

// The CDK's own setting gives every role the boundary, and the parameters leave it alone.
func TestEveryRoleHasTheBoundaryThatIsSet(t *testing.T) {
	roles := 0
	changes := only("@aws-cdk/core:permissionsBoundary", map[string]any{"name": boundaryName})
	for _, one := range synth(t, changes).templates {
		for id, r := range one.Resources {
			if r.Type != "AWS::IAM::Role" {
				continue
			}
			roles++
			has, err := json.Marshal(r.Properties["PermissionsBoundary"])
			if err != nil || !bytes.Contains(has, []byte(":policy/"+boundaryName+`"`)) {
				t.Errorf("%s has the boundary %s, %v", id, has, err)
			}
		}
	}
	if roles == 0 {
		t.Error("no template has a role")
	}
}
