package stacks

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"squidfleet/params"
)

// executionPolicy is what CloudFormation needs to make, change and delete the default fleet.
const executionPolicy = "../docs/execution-policy.json"

// maxManagedPolicy is how many characters besides white space IAM takes: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxManagedPolicy = 6144

// actions are what the handlers of a resource type call, as the type's schema declares them for create, read, update and delete
// (https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html, "handlers"), without those for properties that no template of ours
// sets: virtual private gateways, IPAM, encryption keys of one's own, replicas, capacity reservations, log delivery and index policies, users' pools.
// secretsmanager:GetSecretValue is left out for its own sake: to generate a password nobody has to read it.
var actions = map[string][]string{
	"AWS::EC2::InternetGateway":             {"ec2:CreateInternetGateway", "ec2:DeleteInternetGateway", "ec2:DescribeInternetGateways", ec2Tag, ec2Untag},
	"AWS::EC2::Route":                       {"ec2:CreateRoute", "ec2:DeleteRoute", "ec2:ReplaceRoute", "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables"},
	"AWS::EC2::RouteTable":                  {"ec2:CreateRouteTable", "ec2:DeleteRouteTable", "ec2:DescribeRouteTables", ec2Tag, ec2Untag},
	"AWS::EC2::SecurityGroup":               {"ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup", "ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress", "ec2:UpdateSecurityGroupRuleDescriptionsEgress", "ec2:UpdateSecurityGroupRuleDescriptionsIngress", "ec2:DescribeInstances", "ec2:DescribeSecurityGroups", ec2Tag, ec2Untag},
	"AWS::EC2::SecurityGroupIngress":        {"ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", "ec2:UpdateSecurityGroupRuleDescriptionsIngress", "ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups"},
	"AWS::EC2::Subnet":                      {"ec2:CreateSubnet", "ec2:DeleteSubnet", "ec2:ModifySubnetAttribute", "ec2:AssociateSubnetCidrBlock", "ec2:DisassociateSubnetCidrBlock", "ec2:DescribeNetworkAcls", "ec2:DescribeSubnets", ec2Tag, ec2Untag},
	"AWS::EC2::SubnetRouteTableAssociation": {"ec2:AssociateRouteTable", "ec2:DisassociateRouteTable", "ec2:ReplaceRouteTableAssociation", "ec2:DescribeRouteTables", "ec2:DescribeSubnets"},
	"AWS::EC2::VPC":                         {"ec2:CreateVpc", "ec2:DeleteVpc", "ec2:ModifyVpcAttribute", "ec2:ModifyVpcTenancy", "ec2:DescribeNetworkAcls", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcAttribute", "ec2:DescribeVpcEncryptionControls", "ec2:DescribeVpcs", ec2Tag, ec2Untag},
	"AWS::EC2::VPCCidrBlock":                {"ec2:AssociateVpcCidrBlock", "ec2:DisassociateVpcCidrBlock", "ec2:DescribeVpcs"},
	"AWS::EC2::VPCGatewayAttachment":        {"ec2:AttachInternetGateway", "ec2:DetachInternetGateway", "ec2:DescribeInternetGateways", "ec2:DescribeVpnGateways"},

	"AWS::ECS::Cluster":        {"ecs:CreateCluster", "ecs:DeleteCluster", "ecs:UpdateCluster", "ecs:UpdateClusterSettings", "ecs:PutClusterCapacityProviders", "ecs:DescribeClusters", ecsTag, ecsTags, ecsUntag, serviceLinkedRole},
	"AWS::ECS::Service":        {"ecs:CreateService", "ecs:DeleteService", "ecs:UpdateService", "ecs:StopServiceDeployment", "ecs:DescribeServiceDeployments", "ecs:DescribeServices", "ecs:ListServiceDeployments", ecsTag, ecsTags, ecsUntag},
	"AWS::ECS::TaskDefinition": {"ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition", ecsTag, ecsTags, ecsUntag, "iam:GetRole", passRole},

	"AWS::ElasticLoadBalancingV2::Listener":     {"elasticloadbalancing:CreateListener", "elasticloadbalancing:DeleteListener", "elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyListenerAttributes", "elasticloadbalancing:DescribeListenerAttributes", "elasticloadbalancing:DescribeListeners", elbTag, elbTags, elbUntag},
	"AWS::ElasticLoadBalancingV2::LoadBalancer": {"elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:SetIpAddressType", "elasticloadbalancing:SetSecurityGroups", "elasticloadbalancing:SetSubnets", "elasticloadbalancing:DescribeCapacityReservation", "elasticloadbalancing:DescribeLoadBalancerAttributes", "elasticloadbalancing:DescribeLoadBalancers", elbTag, elbTags, elbUntag, serviceLinkedRole},
	"AWS::ElasticLoadBalancingV2::TargetGroup":  {"elasticloadbalancing:CreateTargetGroup", "elasticloadbalancing:DeleteTargetGroup", "elasticloadbalancing:ModifyTargetGroup", "elasticloadbalancing:ModifyTargetGroupAttributes", "elasticloadbalancing:DescribeTargetGroupAttributes", "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth", elbTag, elbTags, elbUntag},

	"AWS::IAM::Role": {"iam:CreateRole", "iam:DeleteRole", "iam:UpdateRole", "iam:UpdateRoleDescription", "iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:TagRole", "iam:UntagRole"},

	"AWS::Logs::LogGroup": {"logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:DeleteRetentionPolicy", "logs:DescribeIndexPolicies", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:GetDataProtectionPolicy", "logs:ListTagsForResource", "logs:TagResource", "logs:UntagResource"},

	"AWS::SQS::Queue":       {"sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SetQueueAttributes", "sqs:ListQueueTags", "sqs:TagQueue", "sqs:UntagQueue"},
	"AWS::SQS::QueuePolicy": {"sqs:SetQueueAttributes"},

	"AWS::Scheduler::Schedule":      {"scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:GetSchedule", "scheduler:UpdateSchedule", passRole},
	"AWS::Scheduler::ScheduleGroup": {"scheduler:CreateScheduleGroup", "scheduler:DeleteScheduleGroup", "scheduler:DeleteSchedule", "scheduler:GetScheduleGroup", "scheduler:ListTagsForResource", "scheduler:TagResource", "scheduler:UntagResource"},

	"AWS::SecretsManager::Secret": {"secretsmanager:CreateSecret", "secretsmanager:DeleteSecret", "secretsmanager:UpdateSecret", "secretsmanager:DescribeSecret", "secretsmanager:GetRandomPassword", "secretsmanager:TagResource", "secretsmanager:UntagResource"},
}

const (
	ec2Tag, ec2Untag          = "ec2:CreateTags", "ec2:DeleteTags"
	ecsTag, ecsTags, ecsUntag = "ecs:TagResource", "ecs:ListTagsForResource", "ecs:UntagResource"
	elbTag, elbTags, elbUntag = "elasticloadbalancing:AddTags", "elasticloadbalancing:DescribeTags", "elasticloadbalancing:RemoveTags"
	// These two stand in statements of their own.
	passRole          = "iam:PassRole"
	serviceLinkedRole = "iam:CreateServiceLinkedRole"
)

// serviceLinked are the services that make themselves a role the first time that an account uses them.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
var serviceLinked = map[string]string{
	"AWS::ECS::Cluster":                         "ecs.amazonaws.com",
	"AWS::ElasticLoadBalancingV2::LoadBalancer": "elasticloadbalancing.amazonaws.com",
}

// functions are what CloudFormation calls to compute an intrinsic function.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-getavailabilityzones.html
var functions = map[string][]string{
	"Fn::GetAZs": {"ec2:DescribeAccountAttributes", "ec2:DescribeAvailabilityZones", "ec2:DescribeSubnets"},
}

// named are the actions on what CloudFormation gives a name that begins with the stack's; a service's ARN begins with its cluster's. What else there is gets a number for a name, or
// a name of which AWS's documentation gives no example.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html and, for each type, "Return values"
var named = []struct {
	sid, resource string
	actions       *regexp.Regexp
}{
	{"iamRole", "iam::*:role/", regexp.MustCompile(`^iam:`)},
	{"sqsQueue", "sqs:*:*:", regexp.MustCompile(`^sqs:`)},
	{"logsGroup", "logs:*:*:log-group:", regexp.MustCompile(`^logs:(?:Create|Delete|Put|Get|List|Tag|Untag)`)},
	{"ecsCluster", "ecs:*:*:cluster/", regexp.MustCompile(`^ecs:(?:Delete|Update|Put)Cluster`)},
	{"ecsService", "ecs:*:*:service/", regexp.MustCompile(`^ecs:(?:Create|Delete|Update)Service$`)},
}

// of is the ARN of whatever of a kind has a name that begins with the stack's, in each of AWS's partitions.
func of(kind, stackName string) string { return "arn:*:" + kind + stackName + "-*" }

// onWhat returns the id of the statement for an action, and the resource that it is allowed on.
func onWhat(action, stackName string) (sid, resource string) {
	for _, n := range named {
		if n.actions.MatchString(action) {
			return n.sid, of(n.resource, stackName)
		}
	}
	service, _, _ := strings.Cut(action, ":")
	return service, "*"
}

// statement is a part of an IAM policy.
type statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  string
	Condition map[string]map[string][]string `json:",omitempty"`
}

// policyOf derives the policy from the resources and functions of templates. parameter is the one of Systems Manager that they read, "" for none.
func policyOf(t *testing.T, stackName, parameter string, templates []template) []statement {
	t.Helper()
	found := map[string][]string{} // actions by the ids of statements
	resources := map[string]string{}
	passed, linked := map[string]bool{}, map[string]bool{}
	weak := false
	call := func(action string) {
		sid, resource := onWhat(action, stackName)
		if resources[sid] = resource; !slices.Contains(found[sid], action) {
			found[sid] = append(found[sid], action)
		}
	}
	for _, one := range templates {
		for id, r := range one.Resources {
			needed, known := actions[r.Type]
			if !known {
				t.Errorf("%s is a %s: say in actions what CloudFormation needs to make one", id, r.Type)
			}
			for _, action := range needed {
				switch action {
				case passRole:
				case serviceLinkedRole:
					linked[serviceLinked[r.Type]] = true
				default:
					call(action)
				}
			}
			if r.Type == "AWS::IAM::Role" {
				passed[trusted(t, id, r)] = true
			}
			text := indented(t, r.Properties)
			weak = weak || strings.Contains(text, `"Fn::GetStackOutput"`)
			for function, needed := range functions {
				if strings.Contains(text, `"`+function+`"`) {
					for _, action := range needed {
						call(action)
					}
				}
			}
		}
	}
	var policy []statement
	add := func(sid, resource string, condition map[string]map[string][]string, actions ...string) {
		slices.Sort(actions)
		policy = append(policy, statement{sid, "Allow", actions, resource, condition})
	}
	for _, sid := range slices.Sorted(maps.Keys(found)) {
		add(sid, resources[sid], nil, found[sid]...)
	}
	add("PassRole", of("iam::*:role/", stackName), map[string]map[string][]string{"StringEquals": {"iam:PassedToService": slices.Sorted(maps.Keys(passed))}}, passRole)
	add("ServiceLinkedRoles", "arn:*:iam::*:role/aws-service-role/*", map[string]map[string][]string{"StringEquals": {"iam:AWSServiceName": slices.Sorted(maps.Keys(linked))}}, serviceLinkedRole)
	if parameter != "" {
		// The template's own check of the bootstrap version is a parameter that CloudFormation looks up.
		add("BootstrapVersion", "arn:*:ssm:*:*:parameter"+parameter, nil, "ssm:GetParameters")
	}
	if weak {
		// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-getstackoutput.html
		add("OutputsOfTheNetwork", of("cloudformation:*:*:stack/", stackName), nil, "cloudformation:DescribeStacks")
	}
	return policy
}

// storedParameter returns the parameter of Systems Manager that a template reads, "" for none.
func storedParameter(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Parameters map[string]struct{ Type, Default string }
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	for _, one := range template.Parameters {
		if strings.HasPrefix(one.Type, "AWS::SSM::Parameter::") {
			return one.Default
		}
	}
	return ""
}

// trusted returns the service that a role trusts: a role is passed to nobody else.
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
	var all []template
	seen := map[string]bool{}
	parameter := ""
	for _, changes := range everyFleet {
		a := synth(t, changes)
		for stack, one := range a.templates {
			parameter = storedParameter(t, filepath.Join(a.dir, stack+".template.json"))
			all = append(all, one)
			for _, r := range one.Resources {
				seen[r.Type] = true
			}
		}
	}
	for kind := range actions {
		if !seen[kind] {
			t.Errorf("actions has %s, which no template has", kind)
		}
	}
	name := params.Declarations()[0].Default.(string)
	policy := map[string]any{"Version": "2012-10-17", "Statement": policyOf(t, name, parameter, all)}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(policy); err != nil {
		t.Fatal(err)
	}
	var dense bytes.Buffer
	if err := json.Compact(&dense, text.Bytes()); err != nil {
		t.Fatal(err)
	}
	if dense.Len() > maxManagedPolicy {
		t.Errorf("the policy has %d characters, IAM takes %d", dense.Len(), maxManagedPolicy)
	}
	for _, needed := range []string{"ec2:DescribeAvailabilityZones", "ec2:DescribeAccountAttributes"} { // the network's Fn::GetAZs
		if !strings.Contains(text.String(), `"`+needed+`"`) {
			t.Errorf("the policy lacks %s", needed)
		}
	}
	// Nothing that could be somebody else's is deleted, if there is a name to tell it by.
	for _, s := range policy["Statement"].([]statement) {
		for _, action := range []string{"sqs:DeleteQueue", "logs:DeleteLogGroup", "ecs:DeleteCluster", "ecs:DeleteService", "iam:DeleteRole"} {
			if slices.Contains(s.Action, action) && !strings.Contains(s.Resource, name+"-*") {
				t.Errorf("%s is allowed on %s", action, s.Resource)
			}
		}
	}
	for _, forbidden := range []string{`:*"`, "secretsmanager:GetSecretValue", "iam:AttachRolePolicy", "iam:PutUserPolicy", "iam:CreateUser"} {
		for _, s := range policy["Statement"].([]statement) {
			if strings.Contains(strings.Join(s.Action, `" "`)+`"`, forbidden) {
				t.Errorf("the policy allows %s", forbidden)
			}
		}
	}
	if on, err := os.ReadFile(executionPolicy); err == nil && bytes.Equal(on, text.Bytes()) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the templates need; run this test with -update. It should be\n%s", executionPolicy, text.String())
	}
	if err := os.WriteFile(executionPolicy, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
