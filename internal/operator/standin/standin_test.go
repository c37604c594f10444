package standin

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
)

func TestAnswersMustFitTheModel(t *testing.T) {
	for want, value := range map[string]any{
		"": map[string]any{"tasks": []any{map[string]any{"taskArn": "arn", "startedAt": 1.5, "attachments": []any{map[string]any{"details": []any{map[string]any{"name": "n"}}}}}}},
		"x.tasks[0].TaskArn is not in the API model": map[string]any{"tasks": []any{map[string]any{"TaskArn": "arn"}}},
		"x.tasks[0].taskArn is float64":              map[string]any{"tasks": []any{map[string]any{"taskArn": 1.0}}},
		"x.tasks is string, and a list":              map[string]any{"tasks": "all"},
		"x is <nil>, and a structure":                nil,
		"x.tasks[0].startedAt is string":             map[string]any{"tasks": []any{map[string]any{"startedAt": "2026-01-02T03:04:05Z"}}},
	} {
		got := strings.Join(check(schemas.DescribeTasksResponse, value, "x"), "\n")
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	const line = `{"user":"a","status":407}`
	for pattern, want := range map[string]bool{
		"":                      true,
		`{ ($.user = "a") }`:    true,
		`{ ($.user = "b") }`:    false,
		`{ ($.status = 407) }`:  true,
		`{ ($.status >= 408) }`: false,
		`{ ($.status <= 407) }`: true,
		`{ ($.none = "a") }`:    false,
		`{ ($.user = "b") || ($.user = "a") && ($.status = 407) }`:   true,
		`{ (($.user = "a") || ($.user = "b")) && ($.status = 500) }`: false,
	} {
		if got, err := match(pattern, line); err != nil || got != want {
			t.Errorf("%s: %v, %v", pattern, got, err)
		}
	}
	for _, pattern := range []string{`$.user = "a"`, `{ $.user }`, `{ ($.user = "a" }`, `{ ($.user = "a") ($.user = "a") }`, `{ ($.user = a) }`, `{ ($.user = "a") && }`} {
		if _, err := match(pattern, line); err == nil {
			t.Errorf("%s was read", pattern)
		}
	}
	if got, err := match(`{ ($.user = "a") }`, "no JSON"); got || err != nil {
		t.Errorf("a line without JSON: %v, %v", got, err)
	}
}

func TestFormsMustFitTheModel(t *testing.T) {
	for _, c := range []struct{ service, form, want string }{
		{"ec2", "Action=DescribeNetworkInterfaces&Version=2016-11-15&Filter.1.Name=n&Filter.1.Value.1=a&Filter.1.Value.2=b&Filter.2.Name=n&NetworkInterfaceId.1=eni-1&MaxResults=5&NextToken=t", ""},
		{"ec2", "Filter.1.Name=n&Filter.1.Value.1=1&Filter.1.Value.2=2&Filter.1.Value.3=3&Filter.1.Value.4=4&Filter.1.Value.5=5&Filter.1.Value.6=6&Filter.1.Value.7=7&Filter.1.Value.8=8&Filter.1.Value.9=9&Filter.1.Value.10=10", ""},
		{"ec2", "Filters.1.Name=n", "DescribeNetworkInterfaces.Filters is not in the API model"},
		{"ec2", "filter.1.Name=n", "DescribeNetworkInterfaces.filter is not in the API model"},
		{"ec2", "Filter.1.Values.1=n", "DescribeNetworkInterfaces.Filter[0].Values is not in the API model"},
		{"ec2", "Filter.1.Value.member.1=n", "DescribeNetworkInterfaces.Filter[0].Value has no element item"},
		{"ec2", "Filter.1.Value.1=a&Filter.1.Value.3=n", "DescribeNetworkInterfaces.Filter[0].Value has no element 2"},
		{"ec2", "Filter.1.Name.1=n", "DescribeNetworkInterfaces.Filter[0].Name has members"},
		{"ec2", "MaxResults=4", `DescribeNetworkInterfaces.MaxResults is "4", which is no DescribeNetworkInterfacesMaxResults`},
		{"ec2", "MaxResults=1001", `DescribeNetworkInterfaces.MaxResults is "1001"`},
		{"ec2", "DryRun=yes", `DescribeNetworkInterfaces.DryRun is "yes", which is no Boolean`},
		{"elasticloadbalancing", "TargetGroupArn=a&Targets.member.1.Id=i&Targets.member.1.Port=80", ""},
		{"elasticloadbalancing", "", "DescribeTargetHealth.TargetGroupArn is missing"},
		{"elasticloadbalancing", "TargetGroupArn=a&Targets.1.Id=i", "DescribeTargetHealth.Targets has no element member"},
		{"cloudformation", "StackName=Squidfleet-Proxy", ""},
		{"cloudformation", "StackNames=x", "DescribeStacks.StackNames is not in the API model"},
	} {
		form, err := url.ParseQuery(c.form)
		if err != nil {
			t.Fatal(err)
		}
		matches(t, c.form, models[c.service].checkForm(form), c.want)
	}
}

func TestXMLMustFitTheModel(t *testing.T) {
	const (
		ec2 = `<DescribeNetworkInterfacesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>%s</DescribeNetworkInterfacesResponse>`
		elb = `<DescribeTargetHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><DescribeTargetHealthResult>%s</DescribeTargetHealthResult></DescribeTargetHealthResponse>`
	)
	for _, c := range []struct{ service, frame, answer, want string }{
		{"ec2", ec2, "<networkInterfaceSet><item><networkInterfaceId>e</networkInterfaceId><requesterManaged>true</requesterManaged></item><item/></networkInterfaceSet>", ""},
		{"ec2", ec2, "<networkInterfaces/>", "DescribeNetworkInterfaces.networkInterfaces is not in the API model"},
		{"ec2", ec2, "<networkInterfaceSet><member/></networkInterfaceSet>", "DescribeNetworkInterfaces.networkInterfaceSet has no element item"},
		{"ec2", ec2, "<networkInterfaceSet><item><status>gone</status></item></networkInterfaceSet>", `DescribeNetworkInterfaces.networkInterfaceSet[0].status is "gone", which is no NetworkInterfaceStatus`},
		{"ec2", ec2, "<nextToken>a</nextToken><nextToken>b</nextToken>", "DescribeNetworkInterfaces.nextToken is not in the API model, or twice"},
		{"ec2", "<a>%s</a>", "", "DescribeNetworkInterfaces is answered with { a}"},
		{"ec2", "%s", "<a>", "DescribeNetworkInterfaces: XML syntax error"},
		{"elasticloadbalancing", elb, "<TargetHealthDescriptions><member><Target><Id>i</Id></Target></member></TargetHealthDescriptions>", ""},
		{"elasticloadbalancing", elb, "<TargetHealthDescriptions><member><Target><Port>1</Port></Target></member></TargetHealthDescriptions>", "DescribeTargetHealth.TargetHealthDescriptions[0].Target.Id is missing"},
		{"elasticloadbalancing", `<DescribeTargetHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">%s</DescribeTargetHealthResponse>`, "", "DescribeTargetHealth is answered without DescribeTargetHealthResult"},
	} {
		matches(t, c.answer, models[c.service].checkXML(fmt.Sprintf(c.frame, c.answer)), c.want)
	}
	for _, c := range []struct {
		shape, text string
		want        bool
	}{
		{"CreationTime", "2026-01-02T03:04:05.678Z", true}, {"CreationTime", "1767323045", false},
		{"StackName", "", true}, {"StackStatus", "CREATE_COMPLETE", true}, {"StackStatus", "DONE", false},
		{"ChangeSetId", "arn:aws:x", true}, {"ChangeSetId", "arn", false}, {"ChangeSetId", "", false},
	} {
		if got := models["cloudformation"].Shapes[c.shape].takes(c.text); got != c.want {
			t.Errorf("%s takes %q: %v", c.shape, c.text, got)
		}
	}
}

func matches(t *testing.T, input string, got []string, want string) {
	t.Helper()
	if all := strings.Join(got, "\n"); want == "" && all != "" || !strings.HasPrefix(all, want) {
		t.Errorf("%s: %q, want %q", input, all, want)
	}
}
