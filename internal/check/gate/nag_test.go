package gate

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// suppression accepts one rule of cdk-nag for one resource.
type suppression struct {
	stack    string // what the stack's name ends in
	resource string // path of the construct in its stack
	rule     string
	evidence string // for rules that want to know what exactly is accepted
	reason   string
}

var suppressions = []suppression{
	{"Network", "Vpc/Resource", "AwsSolutions-VPC7", "",
		"The VPC holds the fleet and nothing else; who used the proxy for what stands in the proxy's own log. A flow log would cost more than a small fleet and could not tell clients apart."},
	{"Proxy", "LoadBalancer/Resource", "AwsSolutions-ELB2", "",
		"A Network Load Balancer logs TLS listeners only; this one passes TCP on, so that access logs would stay empty. The proxy logs every request."},
	{"Proxy", "ExecutionRole/Resource", "AwsSolutions-IAM5", "Resource::*",
		"ecr:GetAuthorizationToken takes no resource. Everything else in the role names one."},
	{"Proxy", "Task", "AwsSolutions-ECS2", "",
		"The variables say where passwords come from, the realm and the users' names: no secret, and a part of the template that a reviewer should see. Passwords come from Secrets Manager."},
	{"Proxy", "Cluster", "AwsSolutions-ECS4", "",
		"Container Insights are billed by the metric and rotation makes new ones every hour; the service's and the load balancer's own metrics show the fleet's health."},
	{"Proxy", "FailedRotations/Resource", "AwsSolutions-SQS3", "",
		"It is a dead-letter queue, of a schedule; the rule knows those of other queues only."},
	{"Proxy", "DigestKey/Resource", "AwsSolutions-SMG4", "",
		"A new key reaches the tasks with a deployment only, and a changed one costs every client a challenge; the secret takes the new key beside the old one, which whoever changes it can do without a Lambda function. It has 381 random bits."},
	{"Proxy", "Passwords/Of-proxy/Resource", "AwsSolutions-SMG4", "", passwordReason},
	{"Proxy", "Passwords/Of-alice/Resource", "AwsSolutions-SMG4", "", passwordReason},
	{"Proxy", "Passwords/Of-bob/Resource", "AwsSolutions-SMG4", "", passwordReason},
	{"Proxy", "Passwords/Of-c.d/Resource", "AwsSolutions-SMG4", "", passwordReason},
}

const passwordReason = "A password that changes by itself locks clients out at a time nobody chose, and rotating it takes a Lambda function that the fleet does without. It has 190 random bits."

// TestAwsSolutionsRules: no rule of cdk-nag's AwsSolutions pack is broken but where a reason says why, and each reason still has something to excuse.
func TestAwsSolutionsRules(t *testing.T) {
	used := map[suppression]bool{}
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		dir := filepath.Join(t.TempDir(), "cdk.out")
		app, p := build(t, set, dir)
		awscdk.Aspects_Of(app.App).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{ReportFormats: &[]cdknag.NagReportFormat{cdknag.NagReportFormat_JSON}}), nil)
		checked := 0
		for _, short := range []string{"Network", "Proxy"} {
			if short == "Network" && p.VpcID != "" {
				continue
			}
			stack := awscdk.Stack_Of(app.Node().FindChild(jsii.String(p.StackName + "-" + short)))
			for _, s := range suppressions {
				if s.stack == short && exists(stack, s.resource) {
					suppress(stack, s)
				}
			}
		}
		if err := app.Synth(); err != nil {
			t.Errorf("%s: %v", set, err)
		}
		for _, short := range []string{"Network", "Proxy"} {
			for _, line := range report(t, dir, p.StackName+"-"+short) {
				checked++
				switch line.Compliance {
				case "Compliant", "N/A":
				case "Suppressed":
					for _, s := range suppressions {
						if s.stack == short && line.ResourceID == p.StackName+"-"+short+"/"+s.resource && strings.HasSuffix(line.ExceptionReason, s.reason) {
							used[s] = true
						}
					}
				default:
					t.Errorf("%s: %s: %s: %s: %s", set, line.ResourceID, line.RuleID, line.Compliance, line.RuleInfo)
				}
			}
		}
		if checked < 10 {
			t.Errorf("%s: %d results", set, checked)
		}
	}
	for _, s := range suppressions {
		if !used[s] {
			t.Errorf("%s: %s: %s is suppressed and not broken; remove the suppression", s.stack, s.resource, s.rule)
		}
	}
}

func exists(stack awscdk.Stack, path string) bool {
	for _, construct := range *stack.Node().FindAll("") {
		if *construct.Node().Path() == *stack.Node().Path()+"/"+path {
			return true
		}
	}
	return false
}

func suppress(stack awscdk.Stack, s suppression) {
	one := &cdknag.NagPackSuppression{Id: jsii.String(s.rule), Reason: jsii.String(s.reason)}
	if s.evidence != "" {
		one.AppliesTo = &[]any{s.evidence}
	}
	cdknag.NagSuppressions_AddResourceSuppressionsByPath(stack, *stack.Node().Path()+"/"+s.resource, &[]*cdknag.NagPackSuppression{one}, jsii.Bool(false))
}

type reportLine struct {
	RuleID          string `json:"ruleId"`
	ResourceID      string `json:"resourceId"`
	Compliance      string `json:"compliance"`
	ExceptionReason string `json:"exceptionReason"`
	RuleInfo        string `json:"ruleInfo"`
}

// report reads cdk-nag's report about a stack; there is none about a stack that is not there.
func report(t *testing.T, dir, stack string) []reportLine {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "AwsSolutions-"+stack+"-NagReport.json"))
	if os.IsNotExist(err) {
		return nil
	}
	var file struct{ Lines []reportLine }
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file.Lines
}
