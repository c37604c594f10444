package check

import (
	"fmt"
	"slices"
	"strings"
)

// checkExecutionRole: ECS may fetch the image, read the fleet's passwords and write its log, and nothing else.
func (f *fleet) checkExecutionRole() {
	f.want(f.executionRole, "trust", "ECS assumes it, and nobody else", object{"AssumeRolePolicyDocument": trust("ecs-tasks.amazonaws.com", nil)})
	repository := f.sub("arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/") + f.repository()
	grants := []grant{
		{"ecr:GetAuthorizationToken", "*"}, // a registry login belongs to no repository
		{"ecr:BatchCheckLayerAvailability", repository},
		{"ecr:BatchGetImage", repository},
		{"ecr:GetDownloadUrlForLayer", repository},
		{"logs:CreateLogStream", f.log.att("Arn")},
		{"logs:PutLogEvents", f.log.att("Arn")},
	}
	names := set{"PullImage", "WriteLog"}
	if len(f.handedOver()) > 0 {
		names = append(names, "ReadSecrets")
	}
	for _, secret := range f.handedOver() {
		grants = append(grants, grant{"secretsmanager:GetSecretValue", secret.ref()})
	}
	f.grants(f.executionRole, "ECS prepares the tasks of the proxy", names, grants)
}

// trust is the policy of a role that one service assumes.
func trust(service string, condition object) object {
	statement := object{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": object{"Service": service}}
	if condition != nil {
		statement["Condition"] = condition
	}
	return object{"Version": "2012-10-17", "Statement": list{statement}}
}

// grant permits an action on a resource.
type grant struct{ action, resource string }

func (g grant) String() string { return g.action + " on " + show(g.resource) }

// grants compares what a role's policies of these names permit together with what they should, however that is divided into policies and statements. Two of one name would be one: the last.
func (f *fleet) grants(role *resource, description string, policyNames set, want []grant) {
	if !role.there() {
		f.report(f.proxy.Name, none, "role", "a role is missing that permits %v", want)
		return
	}
	f.want(role, "role", "", object{"Description": description})
	role.known["Policies"] = true
	got := []grant{}
	policies, _ := role.properties["Policies"].([]any)
	var names []any
	for i, p := range policies {
		path := fmt.Sprintf("Properties.Policies[%d]", i)
		statements, _ := at(p, "PolicyDocument", "Statement").([]any)
		shape := object{"PolicyName": anything, "PolicyDocument": object{"Version": "2012-10-17", "Statement": anything}}
		for _, d := range differences(path, p, shape) {
			f.at(role, "role", "%s: %s", d.path, d.message)
		}
		names = append(names, at(p, "PolicyName"))
		for j, s := range statements {
			one, problem := statement(s)
			if problem != "" {
				f.at(role, "role", "%s.PolicyDocument.Statement[%d]: %s", path, j, problem)
			}
			got = append(got, one...)
		}
	}
	for _, d := range differences("Properties.Policies.PolicyName", names, policyNames) {
		f.at(role, "role", "%s: %s", d.path, d.message)
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			f.at(role, "role", "Properties.Policies: lack %s", w)
		}
	}
	for i, g := range got {
		if !slices.Contains(want, g) {
			f.at(role, "role", "Properties.Policies: permit %s, want it left out", g)
		} else if slices.Contains(got[:i], g) {
			f.at(role, "role", "Properties.Policies: permit %s twice", g)
		}
	}
}

// statement returns what a statement permits. One that forbids, has conditions or an id, or names what it is not about says more than a fleet needs.
func statement(s any) ([]grant, string) {
	if d := differences("", s, object{"Effect": "Allow", "Action": anything, "Resource": anything}); len(d) > 0 {
		return nil, d[0].path + " " + d[0].message
	}
	var all []grant
	for _, action := range oneOrMore(at(s, "Action")) {
		if strings.Contains(action, "*") {
			return nil, fmt.Sprintf("Action: %s permits more than it says", show(action))
		}
		for _, on := range oneOrMore(at(s, "Resource")) {
			all = append(all, grant{action, on})
		}
	}
	if len(all) == 0 {
		return nil, "permits nothing"
	}
	return all, ""
}

// oneOrMore returns the strings of a value that is a string or a list of them; anything else shows as what it is.
func oneOrMore(v any) []string {
	if items, ok := v.([]any); ok {
		var all []string
		for _, item := range items {
			if s, ok := item.(string); ok {
				all = append(all, s)
			} else {
				all = append(all, show(item))
			}
		}
		return all
	}
	if s, ok := v.(string); ok {
		return []string{s}
	}
	return []string{show(v)}
}
