package awsstandin

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/cfnspec"
)

// small is a specification with what the tests' templates need.
var small = func() cfnspec.Spec {
	required, replaces := cfnspec.Property{Required: true}, cfnspec.Property{Replaces: cfnspec.Always}
	kind := func(name, identifier string, properties map[string]cfnspec.Property, attributes ...string) *cfnspec.Type {
		t := &cfnspec.Type{Name: name, Properties: properties, Attributes: map[string]cfnspec.Attribute{}, PrimaryIdentifier: []string{identifier}}
		for _, attribute := range attributes {
			t.Attributes[attribute] = cfnspec.Attribute{}
		}
		return t
	}
	spec := cfnspec.Spec{}
	for _, t := range []*cfnspec.Type{
		kind("AWS::EC2::VPC", "VpcId", map[string]cfnspec.Property{"CidrBlock": replaces, "Tags": {}}, "VpcId"),
		kind("AWS::EC2::Subnet", "SubnetId", map[string]cfnspec.Property{"VpcId": {Required: true, Replaces: cfnspec.Always}}, "SubnetId"),
		kind("AWS::IAM::Role", "RoleName", map[string]cfnspec.Property{"AssumeRolePolicyDocument": required, "RoleName": replaces, "Policies": {}}, "Arn"),
		kind("AWS::Logs::LogGroup", "LogGroupName", map[string]cfnspec.Property{"RetentionInDays": {}, "LogGroupName": replaces}, "Arn"),
		kind("AWS::SSM::Parameter", "Name", map[string]cfnspec.Property{"Name": replaces, "Type": required, "Value": required}),
		kind("AWS::S3::Bucket", "BucketName", map[string]cfnspec.Property{"BucketName": replaces}, "Arn"),
		kind("AWS::ECR::Repository", "RepositoryName", map[string]cfnspec.Property{"RepositoryName": replaces}),
		kind("AWS::ECS::TaskDefinition", "TaskDefinitionArn", map[string]cfnspec.Property{"ContainerDefinitions": replaces}),
		kind("AWS::ECS::Service", "ServiceArn", map[string]cfnspec.Property{"TaskDefinition": {}, "Cluster": replaces}),
	} {
		spec[t.Name] = t
	}
	spec["AWS::IAM::Role"].ARN = "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}"
	return spec
}()

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start(small)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// send makes a signed call; the signature itself is not looked at.
func (s *Server) send(t *testing.T, service, region, key, token string, request *http.Request) (int, string) {
	t.Helper()
	request.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=%064d", key, region, service, 0))
	if token != "" {
		request.Header.Set("X-Amz-Security-Token", token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// cloudformation makes a call with arguments "name=value" and returns the answer, or the error in it.
func (s *Server) cloudformation(t *testing.T, action string, arguments ...string) (string, error) {
	t.Helper()
	values := url.Values{"Action": {action}, "Version": {"2010-05-15"}}
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		values.Set(name, value)
	}
	request, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	status, body := s.send(t, "cloudformation", Region, userKey, "", request)
	if status == http.StatusOK {
		return body, nil
	}
	var failed struct {
		Error struct{ Code, Message string }
	}
	if err := xml.Unmarshal([]byte(body), &failed); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return "", fmt.Errorf("%s: %s", failed.Error.Code, failed.Error.Message)
}

// json makes a call of a service with the JSON protocol.
func (s *Server) json(t *testing.T, service, target string, arguments any) (int, map[string]any) {
	t.Helper()
	text, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, s.URL, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Amz-Target", target)
	status, body := s.send(t, service, Region, userKey, "", request)
	var answer map[string]any
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return status, answer
}

// prepare makes a change set and waits for it; the error is that of the call or the reason of a failed change set.
func (s *Server) prepare(t *testing.T, kind, stack, template string, more ...string) error {
	t.Helper()
	arguments := append([]string{"ChangeSetType=" + kind, "StackName=" + stack, "ChangeSetName=set", "TemplateBody=" + template}, more...)
	if _, err := s.cloudformation(t, "CreateChangeSet", arguments...); err != nil {
		return err
	}
	for range 3 {
		answer, err := s.cloudformation(t, "DescribeChangeSet", "StackName="+stack, "ChangeSetName=set")
		switch {
		case err != nil:
			return err
		case strings.Contains(answer, "<Status>CREATE_COMPLETE</Status>"):
			return nil
		case strings.Contains(answer, "<Status>FAILED</Status>"):
			if _, err := s.cloudformation(t, "DeleteChangeSet", "StackName="+stack, "ChangeSetName=set"); err != nil {
				t.Fatal(err)
			}
			reason := between(answer, "<StatusReason>", "</StatusReason>")
			return fmt.Errorf("change set failed: %s", strings.ReplaceAll(reason, "&#39;", "'"))
		}
	}
	t.Fatal("the change set is never done")
	return nil
}

// run deploys a template and returns the states that the stack is seen in.
func (s *Server) run(t *testing.T, kind, stack, template string, more ...string) ([]string, error) {
	t.Helper()
	if err := s.prepare(t, kind, stack, template, more...); err != nil {
		return nil, err
	}
	if _, err := s.cloudformation(t, "ExecuteChangeSet", "StackName="+stack, "ChangeSetName=set"); err != nil {
		return nil, err
	}
	return s.states(t, stack), nil
}

// states looks at a stack until its operation is over.
func (s *Server) states(t *testing.T, stack string) []string {
	t.Helper()
	var seen []string
	for range 20 {
		answer, err := s.cloudformation(t, "DescribeStacks", "StackName="+stack)
		if err != nil {
			return append(seen, "gone")
		}
		status := between(answer, "<StackStatus>", "<")
		if len(seen) == 0 || seen[len(seen)-1] != status {
			seen = append(seen, status)
		}
		if !strings.HasSuffix(status, "_IN_PROGRESS") {
			return seen
		}
	}
	t.Fatalf("%s is never done: %v", stack, seen)
	return nil
}

// between returns the text after one mark and before another.
func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}

func resources(list ...string) string { return `{"Resources": {` + strings.Join(list, ",") + `}}` }

const (
	vpc    = `"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}`
	subnet = `"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}}}`
	role   = `"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}`
	group  = `"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 1}}`
)

func expect(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestTemplatesAreRefusedAsByCloudFormation(t *testing.T) {
	s := start(t)
	property := func(value string) string {
		return resources(vpc, `"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": `+value+`}}`)
	}
	for name, c := range map[string]struct{ template, want string }{
		"no resource":        {`{"Resources": {}}`, "At least one Resources member"},
		"not JSON":           {`{"Resources": `, "Template format error"},
		"not YAML":           {"Resources: [", "YAML not well-formed"},
		"unknown section":    {`{"Resourcen": {}}`, "Resourcen"},
		"unknown type":       {resources(`"A": {"Type": "AWS::EC2::Vpc"}`), "Unrecognized resource types: [AWS::EC2::Vpc]"},
		"unknown property":   {resources(`"A": {"Type": "AWS::EC2::VPC", "Properties": {"Cidr": ""}}`), "extraneous key [Cidr]"},
		"missing property":   {resources(`"A": {"Type": "AWS::EC2::Subnet"}`), "required key [VpcId] not found"},
		"logical id":         {resources(`"A-B": {"Type": "AWS::EC2::VPC"}`), "non alphanumeric"},
		"unknown reference":  {property(`{"Ref": "Nobody"}`), "Unresolved resource dependencies [Nobody]"},
		"unknown in Sub":     {property(`{"Fn::Sub": "a${Nobody}b"}`), "Unresolved resource dependencies [Nobody]"},
		"unknown attribute":  {property(`{"Fn::GetAtt": ["Vpc", "Id"]}`), "does not support attribute type Id"},
		"unknown dependency": {resources(`"A": {"Type": "AWS::EC2::VPC", "DependsOn": ["B"]}`), "Unresolved resource dependencies [B]"},
		"unknown condition":  {resources(`"A": {"Type": "AWS::EC2::VPC", "Condition": "B"}`), "Unresolved condition dependency B"},
		"unknown policy":     {resources(`"A": {"Type": "AWS::EC2::VPC", "DeletionPolicy": "Keep"}`), "Unrecognized DeletionPolicy Keep"},
		"circle":             {resources(`"A": {"Type": "AWS::EC2::VPC", "DependsOn": "B"}`, `"B": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": {"Ref": "A"}}}`), "Circular dependency between resources: [A, B]"},
		"output":             {`{"Resources": {` + vpc + `}, "Outputs": {"Out": {"Value": {"Ref": "Nobody"}}}}`, "[Nobody] in the Outputs block"},
		"too long":           {resources(vpc) + strings.Repeat(" ", maxTemplateInCall), "length less than or equal to 51200"},
		"unknown function":   {property(`{"Fn::Magic": "x"}`), "Fn::Magic"},
		"missing import":     {property(`{"Fn::ImportValue": "x"}`), "No export named x found"},
		"missing output":     {property(`{"Fn::GetStackOutput": {"StackName": "other", "OutputName": "x"}}`), "Stack [other] does not exist"},
		"role":               {resources(role), "Requires capabilities : [CAPABILITY_IAM]"},
		"parameter":          {`{"Parameters": {"P": {"Type": "String"}}, "Resources": {` + vpc + `}}`, "Parameters: [P] must have values"},
		"stored parameter":   {`{"Parameters": {"P": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/x"}}, "Resources": {` + vpc + `}}`, "Unable to fetch parameters [/x]"},
		"pattern":            {`{"Parameters": {"P": {"Type": "String", "Default": "xa", "AllowedPattern": "a"}}, "Resources": {` + vpc + `}}`, "must match pattern a"},
		"values":             {`{"Parameters": {"P": {"Type": "String", "Default": "b", "AllowedValues": ["a"]}}, "Resources": {` + vpc + `}}`, "must be one of AllowedValues"},
		"rule":               {`{"Rules": {"R": {"Assertions": [{"Assert": {"Fn::Equals": ["a", "b"]}, "AssertDescription": "a is not b"}]}}, "Resources": {` + vpc + `}}`, "a is not b"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, s.prepare(t, "CREATE", "Stack", c.template), c.want)
		})
	}
	expect(t, s.prepare(t, "CREATE", "Stack", resources(`"A": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}, "RoleName": "a"}}`), "Capabilities.member.1=CAPABILITY_IAM"),
		"Requires capabilities : [CAPABILITY_NAMED_IAM]")
	expect(t, s.prepare(t, "CREATE", "Stack", resources(vpc), "Parameters.member.1.ParameterKey=P", "Parameters.member.1.ParameterValue=x"), "[P] do not exist in the template")
	if unanswered := s.Unanswered(); len(unanswered) > 0 {
		t.Errorf("unanswered: %v", unanswered)
	}
}

func TestStackGoesThroughItsStates(t *testing.T) {
	s := start(t)
	step := func(want []string, got []string, err error) {
		t.Helper()
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("states %v, %v, want %v", got, err, want)
		}
	}
	created, err := s.run(t, "CREATE", "Stack", resources(vpc, subnet, group))
	step([]string{"CREATE_IN_PROGRESS", "CREATE_COMPLETE"}, created, err)
	before := s.Resources("")
	if len(before) != 3 || before[1].Properties["VpcId"] != before[2].ID || !strings.HasPrefix(before[2].ID, "vpc-") {
		t.Fatalf("made %+v", before)
	}

	expect(t, s.prepare(t, "CREATE", "Stack", resources(vpc)), "already exists")
	expect(t, s.prepare(t, "UPDATE", "Other", resources(vpc)), "does not exist")
	expect(t, s.prepare(t, "UPDATE", "Stack", resources(vpc, subnet, group)), "The submitted information didn't contain changes")

	// In place; then a replacement, which spreads to what refers to it; then a removal.
	updated, err := s.run(t, "UPDATE", "Stack", resources(vpc, subnet, strings.Replace(group, "1", "7", 1)))
	step([]string{"UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"}, updated, err)
	inPlace := s.Resources("")
	if inPlace[0].ID != before[0].ID || inPlace[0].Properties["RetentionInDays"] != 7.0 {
		t.Errorf("changed in place: %+v", inPlace[0])
	}
	replaced, err := s.run(t, "UPDATE", "Stack", resources(strings.Replace(vpc, "10.0", "10.1", 1), subnet))
	step([]string{"UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"}, replaced, err)
	after := s.Resources("")
	if len(after) != 2 || after[0].ID == before[1].ID || after[1].ID == before[2].ID || after[0].Properties["VpcId"] != after[1].ID {
		t.Errorf("after the replacement there are %+v, before %+v", after, before)
	}

	s.Fail("AWS::EC2::Subnet", "no room")
	failed, err := s.run(t, "UPDATE", "Stack", resources(vpc, subnet))
	step([]string{"UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"}, failed, err)
	if back := s.Resources(""); len(back) != 2 || back[0].ID != after[0].ID || back[1].ID != after[1].ID {
		t.Errorf("rolled back to %+v, not to %+v", back, after)
	}

	s.Fail("AWS::EC2::Subnet", "no room")
	rolledBack, err := s.run(t, "CREATE", "Second", resources(vpc, subnet))
	step([]string{"CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"}, rolledBack, err)
	if left := s.Resources(""); len(left) != 2 {
		t.Errorf("left behind: %+v", left)
	}
	expect(t, s.prepare(t, "UPDATE", "Second", resources(vpc)), "is in ROLLBACK_COMPLETE state and can not be updated")
	if events, err := s.cloudformation(t, "DescribeStackEvents", "StackName=Second"); err != nil || !strings.Contains(events, "no room") {
		t.Errorf("events %s, %v", events, err)
	}

	if _, err := s.cloudformation(t, "DeleteStack", "StackName=Stack"); err != nil {
		t.Fatal(err)
	}
	step([]string{"DELETE_IN_PROGRESS", "gone"}, s.states(t, "Stack"), nil)
	if left := s.Resources(""); len(left) != 0 {
		t.Errorf("left behind: %+v", left)
	}
	if unanswered := s.Unanswered(); len(unanswered) > 0 {
		t.Errorf("unanswered: %v", unanswered)
	}
}

func TestStackInUseIsNotDeleted(t *testing.T) {
	s := start(t)
	remove := func(stack string) []string {
		t.Helper()
		if _, err := s.cloudformation(t, "DeleteStack", "StackName="+stack); err != nil {
			t.Fatal(err)
		}
		return s.states(t, stack)
	}
	deploy := func(stack, template string) {
		t.Helper()
		if states, err := s.run(t, "CREATE", stack, template); err != nil || states[len(states)-1] != "CREATE_COMPLETE" {
			t.Fatalf("%s: %v, %v", stack, states, err)
		}
	}
	deploy("Network", `{"Resources": {`+vpc+`}, "Outputs": {"Strong": {"Value": {"Ref": "Vpc"}, "Export": {"Name": "the-vpc"}}, "Weak": {"Value": {"Ref": "Vpc"}}}}`)
	deploy("Strong", resources(`"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Fn::ImportValue": "the-vpc"}}}`))
	if states := remove("Network"); !slices.Equal(states, []string{"DELETE_IN_PROGRESS", "DELETE_FAILED"}) {
		t.Errorf("with an export in use: %v", states)
	}
	if answer, err := s.cloudformation(t, "DescribeStacks", "StackName=Network"); err != nil || !strings.Contains(answer, "Cannot delete export the-vpc as it is in use by Strong") {
		t.Errorf("%v: %s", err, answer)
	}
	remove("Strong")
	deploy("Weak", resources(`"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Fn::GetStackOutput": {"StackName": "Network", "OutputName": "Weak"}}}}`))
	if states := remove("Network"); !slices.Equal(states, []string{"DELETE_IN_PROGRESS", "DELETE_FAILED"}) {
		t.Errorf("with a subnet in the VPC: %v", states)
	}
	remove("Weak")
	if states := remove("Network"); !slices.Equal(states, []string{"DELETE_IN_PROGRESS", "gone"}) {
		t.Errorf("when nobody uses it: %v", states)
	}
	deploy("Kept", resources(strings.Replace(group, `"Properties"`, `"DeletionPolicy": "Retain", "Properties"`, 1)))
	remove("Kept")
	if left := s.Resources("AWS::Logs::LogGroup"); len(left) != 1 {
		t.Errorf("retained: %+v", left)
	}
	deploy("Protected", resources(group))
	if _, err := s.cloudformation(t, "UpdateTerminationProtection", "StackName=Protected", "EnableTerminationProtection=true"); err != nil {
		t.Fatal(err)
	}
	_, err := s.cloudformation(t, "DeleteStack", "StackName=Protected")
	expect(t, err, "TerminationProtection is enabled")

	if err := s.prepare(t, "CREATE", "Busy", resources(group)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.cloudformation(t, "ExecuteChangeSet", "StackName=Busy", "ChangeSetName=set"); err != nil {
		t.Fatal(err)
	}
	_, err = s.cloudformation(t, "DeleteStack", "StackName=Busy")
	expect(t, err, "cannot be deleted while in status CREATE_IN_PROGRESS")
	expect(t, s.prepare(t, "UPDATE", "Busy", resources(vpc)), "is in CREATE_IN_PROGRESS state and can not be updated")
}

func TestReplacedVpcInUseIsLeftBehind(t *testing.T) {
	s := start(t)
	network := func(block string) string {
		return `{"Resources": {` + strings.Replace(vpc, "10.0", block, 1) + `}, "Outputs": {"Out": {"Value": {"Ref": "Vpc"}}}}`
	}
	user := resources(`"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Fn::GetStackOutput": {"StackName": "Network", "OutputName": "Out"}}}}`)
	for _, step := range [][3]string{{"CREATE", "Network", network("10.0")}, {"CREATE", "User", user}, {"UPDATE", "Network", network("10.1")}} {
		if states, err := s.run(t, step[0], step[1], step[2]); err != nil || states[len(states)-1] != step[0]+"_COMPLETE" {
			t.Fatalf("%v: %v, %v", step, states, err)
		}
	}
	vpcs, subnets := s.Resources("AWS::EC2::VPC"), s.Resources("AWS::EC2::Subnet")
	if len(vpcs) != 2 || len(subnets) != 1 || subnets[0].Properties["VpcId"] != vpcs[0].ID && subnets[0].Properties["VpcId"] != vpcs[1].ID {
		t.Fatalf("%+v, %+v", vpcs, subnets)
	}
	// The reference is weak: it is followed when its own stack is updated.
	if states, err := s.run(t, "UPDATE", "User", user); err != nil || states[len(states)-1] != "UPDATE_COMPLETE" {
		t.Fatalf("%v, %v", states, err)
	}
	if moved := s.Resources("AWS::EC2::Subnet"); len(moved) != 1 || moved[0].Properties["VpcId"] == subnets[0].Properties["VpcId"] {
		t.Errorf("still there: %+v", moved)
	}
}

func TestExportInUseIsNotChanged(t *testing.T) {
	s := start(t)
	exporting := func(block string) string {
		return `{"Resources": {` + strings.Replace(vpc, "10.0", block, 1) + `}, "Outputs": {"Out": {"Value": {"Ref": "Vpc"}, "Export": {"Name": "the-vpc"}}}}`
	}
	for _, c := range [][2]string{{"Network", exporting("10.0")}, {"User", resources(`"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Fn::ImportValue": "the-vpc"}}}`)}} {
		if _, err := s.run(t, "CREATE", c[0], c[1]); err != nil {
			t.Fatal(err)
		}
	}
	states, err := s.run(t, "UPDATE", "Network", exporting("10.1"))
	if err != nil || states[len(states)-1] != "UPDATE_ROLLBACK_COMPLETE" {
		t.Errorf("%v, %v", states, err)
	}
	if answer, err := s.cloudformation(t, "DescribeStackEvents", "StackName=Network"); err != nil || !strings.Contains(answer, "Cannot update export the-vpc as it is in use by User") {
		t.Errorf("%v: %s", err, answer)
	}
	// Nor may another stack export the same name.
	if states, err := s.run(t, "CREATE", "Other", exporting("10.2")); err != nil || states[len(states)-1] != "ROLLBACK_COMPLETE" {
		t.Errorf("%v, %v", states, err)
	}
}

func TestServiceNeedsItsImage(t *testing.T) {
	s := start(t)
	states, err := s.run(t, "CREATE", "Stack", resources(
		`"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Image": {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/repository:tag"}}]}}`,
		`"Service": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "Task"}}}`))
	if err != nil || states[len(states)-1] != "ROLLBACK_COMPLETE" {
		t.Fatalf("%v, %v", states, err)
	}
	events, err := s.cloudformation(t, "DescribeStackEvents", "StackName=Stack")
	if want := "CannotPullContainerError: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/repository:tag: not found"; err != nil || !strings.Contains(events, want) {
		t.Errorf("%v: no %q in %s", err, want, events)
	}
}

func TestChangeSetIsExecutedWhenItIsReadyOnly(t *testing.T) {
	s := start(t)
	if _, err := s.cloudformation(t, "CreateChangeSet", "ChangeSetType=CREATE", "StackName=Stack", "ChangeSetName=set", "TemplateBody="+resources(group)); err != nil {
		t.Fatal(err)
	}
	_, err := s.cloudformation(t, "ExecuteChangeSet", "StackName=Stack", "ChangeSetName=set")
	expect(t, err, "InvalidChangeSetStatus")
	_, err = s.cloudformation(t, "CreateChangeSet", "ChangeSetType=CREATE", "StackName=Stack", "ChangeSetName=set", "TemplateBody="+resources(group))
	expect(t, err, "AlreadyExistsException")
	_, err = s.cloudformation(t, "ExecuteChangeSet", "StackName=Stack", "ChangeSetName=other")
	expect(t, err, "ChangeSetNotFound")
	if _, err := s.cloudformation(t, "DeleteChangeSet", "StackName=Stack", "ChangeSetName=other"); err != nil {
		t.Errorf("deleting a change set that there is not: %v", err)
	}
}

func TestNameIsTakenOnce(t *testing.T) {
	s := start(t)
	named := resources(strings.Replace(group, `"RetentionInDays"`, `"LogGroupName": "the-log", "RetentionInDays"`, 1))
	if _, err := s.run(t, "CREATE", "First", named); err != nil {
		t.Fatal(err)
	}
	states, err := s.run(t, "CREATE", "Second", named)
	if err != nil || states[len(states)-1] != "ROLLBACK_COMPLETE" {
		t.Errorf("%v, %v", states, err)
	}
	if answer, err := s.cloudformation(t, "DescribeStackEvents", "StackName=Second"); err != nil || !strings.Contains(answer, "the-log already exists") {
		t.Errorf("%v: %s", err, answer)
	}
}

func TestBucketsAndRepositoriesAreThoseOfTheStacks(t *testing.T) {
	s := start(t)
	s3 := func(method, path, body string) (int, string) {
		t.Helper()
		request, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return s.send(t, "s3", Region, userKey, "", request)
	}
	describe := func(target string) (int, map[string]any) {
		t.Helper()
		return s.json(t, "ecr", "AmazonEC2ContainerRegistry_V20150921."+target, map[string]any{
			"repositoryName": "the-repository", "repositoryNames": []string{"the-repository"}, "imageIds": []any{map[string]any{"imageTag": "tag"}},
		})
	}
	if status, body := s3(http.MethodPut, "/the-bucket/a/key", "text"); status != http.StatusNotFound || !strings.Contains(body, "NoSuchBucket") {
		t.Errorf("put without a bucket: %d, %s", status, body)
	}
	if _, answer := describe("DescribeRepositories"); answer["__type"] != "RepositoryNotFoundException" {
		t.Errorf("without a repository: %v", answer)
	}
	_, err := s.run(t, "CREATE", "Stack", resources(
		`"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "the-bucket"}}`,
		`"Repository": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "the-repository"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := s3(http.MethodPut, "/the-bucket/a/key", resources(group)); status != http.StatusOK {
		t.Errorf("put: %d, %s", status, body)
	}
	if _, body := s3(http.MethodGet, "/the-bucket?list-type=2&prefix=a/", ""); !strings.Contains(body, "<Key>a/key</Key>") {
		t.Errorf("list: %s", body)
	}
	if _, body := s3(http.MethodGet, "/the-bucket?list-type=2&prefix=b/", ""); strings.Contains(body, "<Key>") {
		t.Errorf("list of another prefix: %s", body)
	}
	if _, answer := describe("DescribeImages"); answer["__type"] != "ImageNotFoundException" {
		t.Errorf("without an image: %v", answer)
	}
	if _, answer := describe("DescribeRepositories"); fmt.Sprint(answer["repositories"]) == "[]" || answer["__type"] != nil {
		t.Errorf("with a repository: %v", answer)
	}
	byURL := func(location string) error {
		_, err := s.cloudformation(t, "CreateChangeSet", "ChangeSetType=CREATE", "StackName=ByURL", "ChangeSetName=set", "TemplateURL="+location)
		return err
	}
	expect(t, byURL("https://s3.eu-west-1.amazonaws.com/the-bucket/other"), "Access Denied")
	expect(t, byURL("https://example.com/the-bucket/a/key"), "must reference a valid S3 object")
	if err := byURL("https://s3.eu-west-1.amazonaws.com/the-bucket/a/key"); err != nil {
		t.Error(err)
	}
}

func TestCallsWithoutAnAnswerAreTold(t *testing.T) {
	s := start(t)
	_, err := s.cloudformation(t, "ListStacks")
	expect(t, err, unknownCall)
	if status, _ := s.json(t, "ssm", "AmazonSSM.PutParameter", map[string]any{}); status != http.StatusBadRequest {
		t.Errorf("PutParameter: %d", status)
	}
	if err := s.prepare(t, "CREATE", "Stack", resources(vpc), "NotificationARNs.member.1=x"); err != nil {
		t.Fatal(err)
	}
	_, err = s.cloudformation(t, "ExecuteChangeSet", "StackName=Stack", "ChangeSetName=set", "DisableRollback=true")
	expect(t, err, "DisableRollback is not part of the stand-in")
	response, err := http.Post(s.URL, "application/x-www-form-urlencoded", strings.NewReader("Action=GetCallerIdentity"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	handlers["sts:GetCallerIdentity"] = func(*Server, *request) (any, error) { panic("a defect") }
	defer func() { handlers["sts:GetCallerIdentity"] = (*Server).getCallerIdentity }()
	request, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader("Action=GetCallerIdentity"))
	if err != nil {
		t.Fatal(err)
	}
	s.send(t, "sts", Region, userKey, "", request)
	unanswered := s.Unanswered()
	for i, told := range unanswered {
		unanswered[i], _, _ = strings.Cut(told, "\n") // without the stack
	}
	want := []string{"?:POST / (" + unsigned + ")", "cloudformation:CreateChangeSet with NotificationARNs.member.1", "cloudformation:ExecuteChangeSet (" + unknownCall + ")", "cloudformation:ListStacks (" + unknownCall + ")",
		"ssm:PutParameter (" + unknownCall + ")", "sts:GetCallerIdentity (InternalFailure: the stand-in failed: a defect"}
	if !slices.Equal(unanswered, want) {
		t.Errorf("unanswered %q, want %q", unanswered, want)
	}
}

func TestCredentialsAreThoseHandedOut(t *testing.T) {
	s := start(t)
	identity := func(region, key, token string) int {
		request, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader("Action=GetCallerIdentity&Version=2011-06-15"))
		if err != nil {
			t.Fatal(err)
		}
		status, _ := s.send(t, "sts", region, key, token, request)
		return status
	}
	if status := identity(Region, userKey, ""); status != http.StatusOK {
		t.Errorf("with the right ones: %d", status)
	}
	for _, wrong := range [][3]string{{"us-east-1", userKey, ""}, {Region, "AKIANOBODY", ""}, {Region, userKey, "token"}} {
		if status := identity(wrong[0], wrong[1], wrong[2]); status != http.StatusForbidden {
			t.Errorf("with %v: %d", wrong, status)
		}
	}
	response, err := http.Post(s.URL, "application/x-www-form-urlencoded", strings.NewReader("Action=GetCallerIdentity"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("unsigned: %d", response.StatusCode)
	}

	assume := func() (int, string) {
		form := "Action=AssumeRole&RoleSessionName=x&RoleArn=" + url.QueryEscape("arn:aws:iam::"+Account+":role/the-role")
		request, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		return s.send(t, "sts", Region, userKey, "", request)
	}
	if status, _ := assume(); status != http.StatusForbidden {
		t.Errorf("a role that there is not: %d", status)
	}
	named := strings.Replace(role, `{"AssumeRolePolicyDocument"`, `{"RoleName": "the-role", "AssumeRolePolicyDocument"`, 1)
	if _, err := s.run(t, "CREATE", "Stack", resources(named), "Capabilities.member.1=CAPABILITY_NAMED_IAM"); err != nil {
		t.Fatal(err)
	}
	if status, _ := assume(); status != http.StatusForbidden {
		t.Errorf("a role that trusts a service only: %d", status)
	}
	trusting := strings.Replace(named, `"AssumeRolePolicyDocument": {}`, `"AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": {"Ref": "AWS::AccountId"}}}]}`, 1)
	if _, err := s.run(t, "UPDATE", "Stack", resources(trusting), "Capabilities.member.1=CAPABILITY_NAMED_IAM"); err != nil {
		t.Fatal(err)
	}
	status, body := assume()
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, body)
	}
	key, token := between(body, "<AccessKeyId>", "<"), between(body, "<SessionToken>", "<")
	if status := identity(Region, key, token); status != http.StatusOK {
		t.Errorf("with the role's credentials: %d", status)
	}
	calls := s.Calls()
	if last := calls[len(calls)-1]; last.Principal != "the-role" {
		t.Errorf("the last call was made by %q", last.Principal)
	}
}

func TestYAMLTemplateIsTheSameAsJSON(t *testing.T) {
	s := start(t)
	yaml := "Parameters:\n  P: {Type: CommaDelimitedList, Default: 'a,b'}\nConditions:\n  Yes: {Fn::Not: [{Fn::Equals: [{Fn::Join: ['', {Ref: P}]}, '']}]}\n" +
		"Resources:\n  Param:\n    Type: AWS::SSM::Parameter\n    Condition: Yes\n    Properties:\n      Name: {Fn::Sub: '/x/${AWS::StackName}'}\n      Type: String\n" +
		"      Value: {Fn::If: [Yes, {Fn::Select: [1, {Ref: P}]}, no]}\n"
	if _, err := s.run(t, "CREATE", "Stack", yaml); err != nil {
		t.Fatal(err)
	}
	status, answer := s.json(t, "ssm", "AmazonSSM.GetParameter", map[string]any{"Name": "/x/Stack"})
	if status != http.StatusOK || answer["Parameter"].(map[string]any)["Value"] != "b" {
		t.Errorf("%d, %v", status, answer)
	}
}

func TestChunkedUploadIsPutTogether(t *testing.T) {
	request, err := http.NewRequest(http.MethodPut, "http://standin/bucket/key", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Encoding", "aws-chunked")
	request.Header.Set("X-Amz-Decoded-Content-Length", "5")
	content, err := s3Body(request, []byte("3\r\nabc\r\n2;chunk-signature=0\r\nde\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"))
	if err != nil || string(content) != "abcde" {
		t.Errorf("%q, %v", content, err)
	}
	for _, wrong := range []string{"3\r\nabc\r\n0\r\n\r\n", "9\r\nabc\r\n0\r\n\r\n", "zz\r\n"} {
		if _, err := s3Body(request, []byte(wrong)); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestRegistryWantsTheLoginThatECRHandsOut(t *testing.T) {
	s := start(t)
	get := func(user, password string) int {
		request, err := http.NewRequest(http.MethodGet, "http://"+s.Registry+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(user, password)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if status := get("AWS", "guess"); status != http.StatusUnauthorized {
		t.Errorf("with a wrong login: %d", status)
	}
	if status := get(registryUser, registryPassword); status != http.StatusOK {
		t.Errorf("with the right one: %d", status)
	}
}
