package stacks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/doctest"
	"squidfleet/internal/must"
)

const (
	executionPolicy = "../docs/execution-policy.json"
	// boundary is the most that the fleet's roles may have. For the role of CloudFormation it is a
	// second policy, whose Deny keeps that role from making any role without this boundary.
	boundary = "../docs/permissions-boundary.json"
	// boundaryName is the name that the documents give to the policy.
	boundaryName = "SquidfleetBoundary"
)

// maxManagedPolicy is how many characters besides white space IAM takes:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxManagedPolicy = 6144

// These have statements of their own.
const (
	passRole          = "iam:PassRole"
	serviceLinkedRole = "iam:CreateServiceLinkedRole"
	readSecret        = "secretsmanager:GetSecretValue"
	readOutputs       = "cloudformation:DescribeStacks"
)

// read returns a table's actions by type, each with its service.
func read(table string) map[string][]string {
	kind, service, all := "", "", map[string][]string{}
	for word := range strings.FieldsSeq(table) {
		switch {
		case strings.Contains(word, "::"):
			kind = word
		case strings.HasSuffix(word, ":"):
			service = word
		default:
			all[kind] = append(all[kind], service+word)
		}
	}
	return all
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

// role is what a template says of one.
type role struct {
	AssumeRolePolicyDocument document
	Policies                 []struct{ PolicyDocument document }
	PermissionsBoundary      any
}

type document struct {
	Statement []struct {
		Action    any // one, or several
		Principal struct{ Service string }
	}
}

// roles returns the roles of templates.
func roles(t *testing.T, templates []template) (all []role) {
	t.Helper()
	for _, one := range templates {
		for _, r := range one.Resources {
			if r.Type == "AWS::IAM::Role" {
				text, err := json.Marshal(r.Properties)
				must.OK(t, err)
				all = append(all, role{})
				must.OK(t, json.Unmarshal(text, &all[len(all)-1]))
			}
		}
	}
	if len(all) == 0 {
		t.Error("no template has a role")
	}
	return all
}

func everyCase(t *testing.T) (all []template) {
	t.Helper()
	for _, c := range cdkcontext.Cases {
		all = slices.AppendSeq(all, maps.Values(synthCase(t, c).templates))
	}
	return all
}

func TestExecutionPoliciesAreWhatTheTemplatesNeed(t *testing.T) {
	name, all := synth(t, nil).params.StackName, everyCase(t)
	needed := map[string]bool{} // and, when that is known, not any more
	functions := regexp.MustCompile(`"Fn::Get(?:AZs|StackOutput)"`)
	for _, one := range all {
		for _, r := range one.Resources {
			needed[r.Type] = true
			text, err := json.Marshal(r.Properties)
			must.OK(t, err)
			for _, function := range functions.FindAllString(string(text), -1) {
				needed[strings.Trim(function, `"`)] = true
			}
		}
	}
	passed := map[string]bool{}
	for _, r := range roles(t, all) {
		passed[r.AssumeRolePolicyDocument.Statement[0].Principal.Service] = true
	}
	for path, table := range calls {
		var called []string
		for kind, actions := range read(table) {
			if !needed[kind] {
				t.Errorf("calls has %s, which no template has", kind)
			}
			delete(needed, kind)
			called = append(called, actions...)
		}
		own := []string{passRole, serviceLinkedRole, readSecret, readOutputs}
		called = slices.DeleteFunc(called, func(action string) bool { return slices.Contains(own, action) })
		policy := grouped(name, called)
		if path == executionPolicy {
			add := func(sid, action, resource string, condition map[string]map[string][]string) {
				policy = append(policy, statement{sid, "Allow", []string{action}, resource, condition})
			}
			add("PassRole", passRole, of("iam::*:role/", name), map[string]map[string][]string{
				"StringEquals": {"iam:PassedToService": slices.Sorted(maps.Keys(passed))}})
			add("ReadSecrets", readSecret, "*", ofStack(name))
			// These make a role for themselves when an account first uses them.
			// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
			add("ServiceLinkedRoles", serviceLinkedRole, "arn:*:iam::*:role/aws-service-role/*",
				map[string]map[string][]string{"StringEquals": {
					"iam:AWSServiceName": {"ecs.amazonaws.com", "elasticloadbalancing.amazonaws.com"}}})
			// CloudFormation reads a parameter for the template's check of the bootstrap version.
			add("BootstrapVersion", "ssm:GetParameters",
				"arn:*:ssm:*:*:parameter"+all[0].Parameters["BootstrapVersion"].Default, nil)
			add("OutputsOfTheNetwork", readOutputs, of("cloudformation:*:*:stack/", name), nil)
		}
		policyFile(t, path, name, policy,
			`^iam:(AttachRolePolicy|PutUserPolicy|CreateUser|DeleteRolePermissionsBoundary)$|\*`)
	}
	for kind := range needed {
		t.Errorf("a template has %s: say in calls what CloudFormation needs for it", kind)
	}
}

func TestPermissionsBoundaryIsWhatTheRolesNeed(t *testing.T) {
	name := synth(t, nil).params.StackName
	var allowed []string
	for _, r := range roles(t, everyCase(t)) {
		for _, p := range r.Policies {
			for _, s := range p.PolicyDocument.Statement {
				allowed = append(allowed, strings.Fields(strings.Trim(fmt.Sprint(s.Action), "[]"))...)
			}
		}
	}
	policy := grouped(name, allowed)
	for i, s := range policy {
		if slices.Contains(s.Action, readSecret) {
			policy[i].Condition = ofStack(name)
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
	policyFile(t, boundary, name, append(policy, deny), `^(iam|sts):|^secretsmanager:[^G]|\*`)
}

// policyFile holds a document to the policy. It allows no action that is never to be allowed.
// Secrets are read, and what has a name is deleted, only if they are the stack's.
func policyFile(t *testing.T, path, stackName string, statements []statement, never string) {
	t.Helper()
	deletes := regexp.MustCompile(`^(sqs:DeleteQueue|logs:DeleteLogGroup|ecs:Delete(Cluster|Service)|iam:DeleteRole)$`)
	for _, s := range statements {
		for _, action := range s.Action {
			if s.Effect == "Allow" && regexp.MustCompile(never).MatchString(action) ||
				deletes.MatchString(action) && !strings.Contains(s.Resource, stackName+"-*") ||
				action == readSecret && !reflect.DeepEqual(s.Condition, ofStack(stackName)) {
				t.Errorf("%s allows %s on %s if %v", path, action, s.Resource, s.Condition)
			}
		}
	}
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

// The CDK's own setting gives every role the boundary, and the parameters leave it alone.
func TestEveryRoleHasTheBoundaryThatIsSet(t *testing.T) {
	fleet := synth(t, only("@aws-cdk/core:permissionsBoundary", map[string]any{"name": boundaryName}))
	for _, r := range roles(t, slices.Collect(maps.Values(fleet.templates))) {
		if has := fmt.Sprint(r.PermissionsBoundary); !strings.Contains(has, ":policy/"+boundaryName) {
			t.Errorf("a role has the boundary %s", has)
		}
	}
}
