package awsstandin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// chain is a template of log groups each of which waits for the one before it.
func chain(n, retention int, outputs string) string {
	var all []string
	for i := range n {
		dependency := ""
		if i > 0 {
			dependency = fmt.Sprintf(`"DependsOn": "L%02d", `, i-1)
		}
		all = append(all, fmt.Sprintf(`"L%02d": {"Type": "AWS::Logs::LogGroup", %s"Properties": {"RetentionInDays": %d}}`, i, dependency, retention))
	}
	return strings.TrimSuffix(resources(all...), "}") + `, "Outputs": {` + outputs + `}}`
}

// An operation that ends, or gives way to another, in the midst of what one look does.
func TestOperationsThatEndEarly(t *testing.T) {
	ends := func(states []string, err error, want string) {
		t.Helper()
		if err != nil || states[len(states)-1] != want {
			t.Errorf("%v, %v; want %s", states, err, want)
		}
	}
	s := start(t)
	states, err := s.run(t, "CREATE", "Stack", chain(20, 1, ""))
	ends(states, err, "CREATE_COMPLETE")
	s.Fail("AWS::Logs::LogGroup", "the test's own fault")
	states, err = s.run(t, "UPDATE", "Stack", chain(20, 2, ""))
	ends(states, err, "UPDATE_ROLLBACK_COMPLETE")
	if !slices.Contains(states, "UPDATE_ROLLBACK_IN_PROGRESS") {
		t.Errorf("the rollback is never seen under way: %v", states)
	}

	states, err = s.run(t, "CREATE", "Net", chain(5, 1, `"O": {"Value": {"Ref": "L00"}, "Export": {"Name": "o"}}, "P": {"Value": {"Ref": "L01"}, "Export": {"Name": "p"}}`))
	ends(states, err, "CREATE_COMPLETE")
	states, err = s.run(t, "CREATE", "User", resources(`"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::Join": ["", [{"Fn::ImportValue": "o"}, {"Fn::ImportValue": "p"}]]}}}`))
	ends(states, err, "CREATE_COMPLETE")
	if _, err := s.cloudformation(t, "DeleteStack", "StackName=Net"); err != nil {
		t.Fatal(err)
	}
	ends(s.states(t, "Net"), nil, "DELETE_FAILED")

	used := strings.Replace(chain(5, 1, `"V": {"Value": {"Ref": "Vpc"}}`), `{"Resources": {`, `{"Resources": {`+strings.Replace(vpc, `"Properties"`, `"DependsOn": "L04", "Properties"`, 1)+`,`, 1)
	states, err = s.run(t, "CREATE", "Used", used)
	ends(states, err, "CREATE_COMPLETE")
	states, err = s.run(t, "CREATE", "Subnet", resources(`"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Fn::GetStackOutput": {"StackName": "Used", "OutputName": "V"}}}}`))
	ends(states, err, "CREATE_COMPLETE")
	if _, err := s.cloudformation(t, "DeleteStack", "StackName=Used"); err != nil {
		t.Fatal(err)
	}
	ends(s.states(t, "Used"), nil, "DELETE_FAILED")
	if left := s.Unanswered(); len(left) > 0 {
		t.Error(left)
	}
}

// What an update has left behind is still there when a later one is rolled back.
func TestARollbackForgetsNothing(t *testing.T) {
	s := start(t)
	for _, step := range []struct {
		kind, template, want string
	}{
		{"CREATE", resources(strings.Replace(group, `"Properties"`, `"DeletionPolicy": "Retain", "Properties"`, 1)), "CREATE_COMPLETE"},
		{"UPDATE", resources(vpc), "UPDATE_COMPLETE"},
		{"UPDATE", resources(strings.Replace(vpc, "10.0", "10.1", 1)), "UPDATE_ROLLBACK_COMPLETE"},
	} {
		if step.want == "UPDATE_ROLLBACK_COMPLETE" {
			s.Fail("AWS::EC2::VPC", "the test's own fault")
		}
		if states, err := s.run(t, step.kind, "Stack", step.template); err != nil || states[len(states)-1] != step.want {
			t.Fatalf("%v, %v", states, err)
		}
	}
	if left := s.Resources("AWS::Logs::LogGroup"); len(left) != 1 {
		t.Errorf("%v, want the group that was kept", left)
	}
}

// A change of a policy or of the stack's tags is a change, too.
func TestPoliciesAndTagsAreChanges(t *testing.T) {
	s := start(t)
	if _, err := s.run(t, "CREATE", "Stack", resources(group)); err != nil {
		t.Fatal(err)
	}
	expect(t, s.prepare(t, "UPDATE", "Stack", resources(group)), noChange)
	for _, c := range []struct {
		template string
		more     []string
		scope    string
	}{
		{resources(strings.Replace(group, `"Properties"`, `"DeletionPolicy": "Retain", "Properties"`, 1)), nil, "DeletionPolicy"},
		{resources(group), []string{"Tags.member.1.Key=a", "Tags.member.1.Value=b"}, "Tags"},
	} {
		if err := s.prepare(t, "UPDATE", "Stack", c.template, c.more...); err != nil {
			t.Fatal(err)
		}
		answer, err := s.cloudformation(t, "DescribeChangeSet", "StackName=Stack", "ChangeSetName=set")
		if err != nil || !strings.Contains(answer, "<member>"+c.scope+"</member>") {
			t.Errorf("%s: %v, %s", c.scope, err, answer)
		}
		if _, err := s.cloudformation(t, "DeleteChangeSet", "StackName=Stack", "ChangeSetName=set"); err != nil {
			t.Fatal(err)
		}
	}
}

// A stack that rules refuse does not come into being.
func TestRulesLeaveNoStack(t *testing.T) {
	s := start(t)
	refused := strings.TrimSuffix(resources(group), "}") + `, "Rules": {"Never": {"Assertions": [{"Assert": {"Fn::Equals": ["a", "b"]}, "AssertDescription": "never"}]}}}`
	expect(t, s.prepare(t, "CREATE", "Stack", refused), "never")
	if got := s.Status("Stack"); got != "" {
		t.Errorf("the stack is %q", got)
	}
	if slices.ContainsFunc(s.stacks, func(st *stack) bool { return st.name == "Stack" }) {
		t.Error("the stack is there")
	}
}
