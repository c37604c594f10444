package lifecycle

import (
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
	spec := cfnspec.Spec{}
	for kind, identifier := range map[string]string{
		"AWS::EC2::VPC": "VpcId", "AWS::EC2::Subnet": "SubnetId", "AWS::IAM::Role": "RoleName",
		"AWS::ECS::Service": "ServiceArn", "AWS::ECS::TaskDefinition": "TaskDefinitionArn",
		"AWS::Logs::LogGroup": "LogGroupName", "AWS::ElasticLoadBalancingV2::LoadBalancer": "LoadBalancerArn",
		"AWS::ElasticLoadBalancingV2::TargetGroup": "TargetGroupArn", listenerType: "ListenerArn",
	} {
		spec[kind] = &cfnspec.Type{
			PrimaryIdentifier: []string{identifier},
			Properties: map[string]cfnspec.Property{
				"CidrBlock": {Replaces: cfnspec.Always}, "VpcId": {Replaces: cfnspec.Always},
				"Scheme": {Replaces: cfnspec.Always}, "LoadBalancerArn": {Replaces: cfnspec.Always},
			},
			Attributes: map[string]cfnspec.Attribute{identifier: {}},
		}
	}
	return spec
}()

func start(t *testing.T) *Server {
	t.Helper()
	s := Start(small)
	t.Cleanup(s.Close)
	return s
}

// call makes a call in the query protocol, with arguments "name=value", by the credentials given.
func (s *Server) call(t *testing.T, service, region, key, token, action string, arguments ...string) (string, error) {
	t.Helper()
	values := url.Values{"Action": {action}}
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		values.Set(name, value)
	}
	request, err := http.NewRequest(http.MethodPost, s.api.URL, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", fmt.Sprintf(
		"AWS4-HMAC-SHA256 Credential=%s/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=%064d", key,
		region, service, 0))
	request.Header.Set("X-Amz-Security-Token", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK {
		return string(body), nil
	}
	var failed struct {
		Error struct{ Code, Message string }
	}
	if err := xml.Unmarshal(body, &failed); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return "", fmt.Errorf("%s: %s", failed.Error.Code, failed.Error.Message)
}

func (s *Server) cloudformation(t *testing.T, action string, arguments ...string) (string, error) {
	t.Helper()
	return s.call(t, "cloudformation", Region, userKey, "", action, arguments...)
}

// run deploys a template and returns the stack's last state, with the reason if it failed.
func (s *Server) run(t *testing.T, kind, stack, template string) (string, error) {
	t.Helper()
	if _, err := s.cloudformation(t, "CreateChangeSet", "ChangeSetType="+kind, "StackName="+stack, "ChangeSetName=set",
		"TemplateBody="+template); err != nil {
		return "", err
	}
	answer, err := s.cloudformation(t, "DescribeChangeSet", "StackName="+stack, "ChangeSetName=set")
	if err != nil {
		return "", err
	}
	if _, reason, failed := strings.Cut(answer, "<StatusReason>"); failed &&
		strings.Contains(answer, "<Status>FAILED<") {
		s.cloudformation(t, "DeleteChangeSet", "StackName="+stack, "ChangeSetName=set")
		return "", fmt.Errorf("%s", reason)
	}
	_, err = s.cloudformation(t, "ExecuteChangeSet", "StackName="+stack, "ChangeSetName=set")
	return s.Status(stack), err
}

const (
	vpc    = `"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}`
	subnet = `"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}}}`
	group  = `"Group": {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain",
		"Properties": {"RetentionInDays": 1}}`
)

func resources(list ...string) string { return `{"Resources": {` + strings.Join(list, ",") + `}}` }

func TestTemplatesThatCannotBeWorkedOutAreRefused(t *testing.T) {
	s := start(t)
	with := func(value string) string {
		return resources(vpc, `"A": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": `+value+`}}`)
	}
	depending := func(id, on string) string {
		return `"` + id + `": {"Type": "AWS::EC2::VPC", "DependsOn": "` + on + `"}`
	}
	const (
		output = `{"Fn::GetStackOutput": {"StackName": "other", "OutputName": "x"}}`
		stored = `{"Parameters": {"P": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/x"}}}`
	)
	for name, c := range map[string]struct{ template, want string }{
		"not YAML":          {"Resources: [", "YAML not well-formed"},
		"unknown type":      {resources(`"A": {"Type": "AWS::EC2::Vpc"}`), "types: [AWS::EC2::Vpc]"},
		"unknown reference": {with(`{"Ref": "Nobody"}`), "Unresolved resource dependencies [Nobody]"},
		"unknown in Sub":    {with(`{"Fn::Sub": "a${Nobody}b"}`), "Unresolved resource dependencies [Nobody]"},
		"unknown attribute": {with(`{"Fn::GetAtt": ["Vpc", "Id"]}`), "does not support attribute type Id"},
		"unknown function":  {with(`{"Fn::Magic": "x"}`), "Fn::Magic"},
		"unknown output":    {with(output), "no output x of stack other"},
		"circle":            {resources(depending("A", "B"), depending("B", "A")), "resources: [B]"},
		"parameter":         {`{"Parameters": {"P": {"Type": "String"}}}`, "Parameters: [P] must have values"},
		"stored parameter":  {stored, "Unable to fetch parameters [/x]"},
	} {
		if _, err := s.run(t, "CREATE", "Stack", c.template); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestStackGoesThroughItsStates(t *testing.T) {
	s := start(t)
	deploy := func(kind, stack, template, want string) []Resource {
		t.Helper()
		if got, err := s.run(t, kind, stack, template); got != want {
			t.Fatalf("%s is %s, %v, want %s", stack, got, err, want)
		}
		return s.Resources("")
	}
	before := deploy("CREATE", "Stack", resources(vpc, subnet, group), "CREATE_COMPLETE")
	if len(before) != 3 || before[1].Properties["VpcId"] != before[2].ID {
		t.Fatalf("made %+v", before)
	}
	if _, err := s.run(t, "UPDATE", "Stack", resources(vpc, subnet, group)); err == nil ||
		!strings.Contains(err.Error(), "contain changes") {
		t.Errorf("the same again: %v", err)
	}
	inPlace := deploy("UPDATE", "Stack", resources(vpc, subnet, strings.Replace(group, "1", "7", 1)), "UPDATE_COMPLETE")
	if inPlace[0].ID != before[0].ID || inPlace[0].Properties["RetentionInDays"] != 7.0 {
		t.Errorf("changed in place: %+v", inPlace[0])
	}
	// A replacement spreads to what refers to it; what is left out is deleted, or retained.
	after := deploy("UPDATE", "Stack", resources(strings.Replace(vpc, "10.0", "10.1", 1), subnet), "UPDATE_COMPLETE")
	if len(after) != 3 || after[1].ID == before[1].ID || after[2].ID == before[2].ID ||
		after[1].Properties["VpcId"] != after[2].ID {
		t.Errorf("after the replacement there are %+v, before %+v", after, before)
	}
	missing := `"Service": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "Task"}}},
		"Task": {"Type": "AWS::ECS::TaskDefinition",
			"Properties": {"ContainerDefinitions": [{"Image": "nowhere:tag"}]}}`
	deploy("CREATE", "Missing", resources(missing), "CREATE_FAILED")
	if events, err := s.cloudformation(t, "DescribeStackEvents", "StackName=Missing"); !strings.Contains(events,
		"CannotPullContainerError") {
		t.Errorf("a service without its image: %s, %v", events, err)
	}
	for _, name := range []string{"Missing", "Stack"} {
		if _, err := s.cloudformation(t, "DeleteStack", "StackName="+name); err != nil {
			t.Fatal(err)
		}
		if got := s.Status(name); got != "" {
			t.Errorf("%s is %s", name, got)
		}
	}
	if left := s.Resources(""); len(left) != 1 || left[0].LogicalID != "Group" {
		t.Errorf("left: %+v, want what is retained", left)
	}
	if unanswered := s.Unanswered(); len(unanswered) > 0 {
		t.Errorf("unanswered: %v", unanswered)
	}
}

func TestTargetGroupsServeOneLoadBalancer(t *testing.T) {
	s := start(t)
	const (
		balancer = `"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
			"Properties": {"Scheme": "internal"}}`
		targets = `"Targets": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup"}`
		service = `"Service": {"Type": "AWS::ECS::Service",
			"Properties": {"LoadBalancers": [{"TargetGroupArn": {"Ref": "Targets"}}]}}`
		listener = `{"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 1,
			"LoadBalancerArn": {"Ref": "Balancer"}, "DefaultActions": [{"TargetGroupArn": {"Ref": "Targets"}}]}}`
		first, second = `"Listener1": ` + listener, `"Listener2": ` + listener
	)
	if got, err := s.run(t, "CREATE", "Stack", resources(balancer, targets, first)); got != "CREATE_COMPLETE" {
		t.Fatalf("%s, %v", got, err)
	}
	other := strings.Replace(balancer, "internal", "internet-facing", 1)
	for _, c := range []struct{ kind, stack, template, want string }{
		{"UPDATE", "Stack", resources(balancer, targets, first, second), "DuplicateListener"},
		{"UPDATE", "Stack", resources(other, targets, first), "cannot be associated with more than one load balancer"},
		{"CREATE", "Unsaid", resources(balancer, targets, first, service), "does not have an associated load balancer"},
	} {
		if _, err := s.run(t, c.kind, c.stack, c.template); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestNoCallIsPassedOver(t *testing.T) {
	s := start(t)
	s.cloudformation(t, "ListStacks")
	s.cloudformation(t, "GetTemplate", "StackName=x")
	response, err := http.Post(s.api.URL, "application/x-www-form-urlencoded",
		strings.NewReader("Action=GetCallerIdentity"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	want := []string{
		"?:POST / (MissingAuthenticationToken: the call is not signed)",
		"cloudformation:ListStacks (not part of the stand-in)",
	}
	if got := s.Unanswered(); !slices.Equal(got, want) {
		t.Errorf("unanswered %q, want %q", got, want)
	}
}

func TestCallsNeedCredentials(t *testing.T) {
	s := start(t)
	for _, wrong := range [][3]string{
		{"us-east-1", userKey, ""}, {Region, "AKIANOBODY", ""}, {Region, userKey, "token"},
	} {
		if _, err := s.call(t, "sts", wrong[0], wrong[1], wrong[2], "GetCallerIdentity"); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	assume := func() (string, error) {
		return s.call(t, "sts", Region, userKey, "", "AssumeRole", "RoleArn=arn:aws:iam::"+Account+":role/the-role")
	}
	if _, err := assume(); err == nil {
		t.Error("a role that no stack has made is assumed")
	}
	s.run(t, "CREATE", "Stack", resources(`"R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "the-role"}}`))
	answer, err := assume()
	var assumed struct {
		Key   string `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
		Token string `xml:"AssumeRoleResult>Credentials>SessionToken"`
	}
	if err := xml.Unmarshal([]byte(answer), &assumed); err != nil {
		t.Fatal(err)
	}
	identity, callErr := s.call(t, "sts", Region, assumed.Key, assumed.Token, "GetCallerIdentity")
	if err != nil || callErr != nil || !strings.Contains(identity, "the-role") {
		t.Errorf("%s, %v, %v", identity, err, callErr)
	}
}
