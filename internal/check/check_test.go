package check

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/params"
)

func TestFindingIsOneLineOfFourParts(t *testing.T) {
	f := Finding{"Squidfleet-Proxy", "Service", "service", "Properties.DesiredCount: is 1, want 2", Invariant}
	if got, want := f.String(), "Squidfleet-Proxy: Service: service: Properties.DesiredCount: is 1, want 2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAnExceptionAcceptsOneRuleForOneResource(t *testing.T) {
	finding := func(template, resource, rule string) Finding {
		return Finding{template, resource, rule, "message", Invariant}
	}
	findings := []Finding{finding("T", "A", "r"), finding("T", "A", "s"), finding("T", "B", "r"), finding("U", "A", "r")}
	left := Except(findings, []Exception{{"T", "A", "r", "a reason"}})
	if want := findings[1:]; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
	left = Except(findings[1:], []Exception{{"T", "A", "r", "a reason"}})
	if last := left[len(left)-1]; len(left) != 4 || last.Rule != "unused-exception" || last.Resource != "A" {
		t.Errorf("an exception that accepts nothing: %v", left)
	}
}

func TestReadExceptions(t *testing.T) {
	const reason = `"reason": "because of this and that, as told elsewhere"`
	for text, want := range map[string]string{
		`[]`: "",
		`[{"template": "T", "resource": "R", "rule": "r", ` + reason + `}]`:                  "",
		`[{"template": "T", "resource": "R", "rule": "r", "reason": "ok"}]`:                  `[0].reason: "ok" convinces nobody`,
		`[{"template": "T", "resource": "R", ` + reason + `}]`:                               `[0].rule: empty`,
		`[{"template": "T", "resource": "R", "rule": "r", "until": "2030", ` + reason + `}]`: `unknown field "until"`,
		`{}`:    "cannot unmarshal",
		`[] []`: "something follows the list",
	} {
		name := filepath.Join(t.TempDir(), "exceptions.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadExceptions(name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if list, err := ReadExceptions(filepath.Join(t.TempDir(), "none.json")); list != nil || err != nil {
		t.Errorf("no file: %v, %v", list, err)
	}
}

// twoStacks is an assembly in which one stack uses the other's outputs.
func twoStacks() (*Assembly, *Stack) {
	network := &Stack{Name: "N", Raw: map[string]any{
		"Resources": map[string]any{"Vpc": map[string]any{"Type": "AWS::EC2::VPC"}},
		"Outputs": map[string]any{
			"Id": map[string]any{"Value": map[string]any{"Ref": "Vpc"}, "Export": map[string]any{"Name": "exported"}},
		},
	}}
	proxy := &Stack{Name: "P", After: []string{"N"}, Region: "cn-north-1", Raw: map[string]any{
		"Resources":  map[string]any{"Log": map[string]any{"Type": "AWS::Logs::LogGroup"}},
		"Parameters": map[string]any{"Version": map[string]any{}},
	}}
	return &Assembly{Stacks: []*Stack{network, proxy}}, proxy
}

func TestCanonicalValues(t *testing.T) {
	type m = map[string]any
	output := func(name string) m {
		return m{"Fn::GetStackOutput": m{"StackName": "N", "OutputName": name, "Region": m{"Ref": "AWS::Region"}}}
	}
	for _, c := range []struct {
		name  string
		value any
		want  string // as show writes it
		fails string
	}{
		{"number", 1209600.0, `"1209600"`, ""},
		{"boolean", true, `"true"`, ""},
		{"null", nil, `null`, ""},
		{"reference", m{"Ref": "Log"}, `"⟨P/Log⟩"`, ""},
		{"attribute", m{"Fn::GetAtt": []any{"Log", "Arn"}}, `"⟨P/Log.Arn⟩"`, ""},
		{"attribute in one word", m{"Fn::GetAtt": "Log.Arn"}, `"⟨P/Log.Arn⟩"`, ""},
		{"join", m{"Fn::Join": []any{":", []any{"a", m{"Ref": "Log"}}}}, `"a:⟨P/Log⟩"`, ""},
		{"sub", m{"Fn::Sub": "${AWS::Region}/${Log.Arn}/${!x}"}, `"cn-north-1/⟨P/Log.Arn⟩/${x}"`, ""},
		{"sub with variables", m{"Fn::Sub": []any{"${x}-${x}", m{"x": m{"Ref": "Log"}}}}, `"⟨P/Log⟩-⟨P/Log⟩"`, ""},
		{"partition of a region", m{"Ref": "AWS::Partition"}, `"aws-cn"`, ""},
		{"account that is not known", m{"Ref": "AWS::AccountId"}, `"⟨AWS::AccountId⟩"`, ""},
		{"another stack's output", output("Id"), `"⟨N/Vpc⟩"`, ""},
		{"another stack's export", m{"Fn::ImportValue": "exported"}, `"⟨N/Vpc⟩"`, ""},
		{"a text that looks like a reference", "⟨P/Log⟩", `"⟨P/Log⟩"`, ""},
		{"no such resource", m{"Ref": "Logs"}, `"⟨P/Logs⟩"`, `"Logs" is no resource of the template`},
		{"no such output", output("Ids"), ``, `stack "N" has no output "Ids"`},
		{"no such export", m{"Fn::ImportValue": "other"}, ``, "no stack exports other"},
		{"a function that is not needed", m{"Fn::Transform": "x"}, ``, "is not a function that a fleet's template needs"},
		{"a reference to a list", m{"Ref": []any{"Log"}}, ``, "Ref: names nothing"},
		{"an attribute without a name", m{"Fn::GetAtt": "Log"}, ``, "Fn::GetAtt: names no attribute"},
		{"a join of no list", m{"Fn::Join": []any{":", "a"}}, ``, "Fn::Join: does not join strings"},
		{"a sub without a text", m{"Fn::Sub": []any{}}, ``, "Fn::Sub: has no text"},
		{"a sub of a list", m{"Fn::Sub": []any{"${x}", m{"x": []any{"a"}}}}, ``, `Fn::Sub: "x" is no string`},
		{"no such stack", m{"Fn::GetStackOutput": m{"StackName": "M", "OutputName": "Id", "Region": m{"Ref": "AWS::Region"}}}, ``, `there is no other stack "M"`},
		{"an output of another region", m{"Fn::GetStackOutput": m{"StackName": "N", "OutputName": "Id", "Region": "us-east-1"}}, ``, "Region is not the stack's own"},
		{"an output with a role", m{"Fn::GetStackOutput": m{"StackName": "N", "OutputName": "Id", "Region": m{"Ref": "AWS::Region"}, "RoleArn": "x"}}, ``, "RoleArn is not expected"},
		{"an attribute of a parameter", m{"Fn::GetAtt": []any{"Version", "Value"}}, ``, `"Version" is no resource`},
	} {
		a, proxy := twoStacks()
		failure := ""
		got := resolver{assembly: a, stack: proxy, broken: func(format string, args ...any) { failure += fmt.Sprintf(format, args...) }}.value(c.value)
		if c.want != "" && show(got) != c.want {
			t.Errorf("%s: %s, want %s", c.name, show(got), c.want)
		}
		if (c.fails == "") != (failure == "") || !strings.Contains(failure, c.fails) {
			t.Errorf("%s: failure %q, want %q", c.name, failure, c.fails)
		}
	}
	a, proxy := twoStacks()
	if got := (resolver{assembly: a, stack: proxy}).value("⟨P/Log⟩"); len(references(got.(string))) != 0 {
		t.Errorf("a literal passes for a reference: %q", got)
	}
}

func TestAStackThatIsNotDeployedFirstHasNoOutputsYet(t *testing.T) {
	a, proxy := twoStacks()
	proxy.After = nil
	failure := ""
	resolver{assembly: a, stack: proxy, broken: func(format string, args ...any) { failure = fmt.Sprintf(format, args...) }}.value(map[string]any{"Fn::ImportValue": "exported"})
	if !strings.Contains(failure, "the manifest does not say that P is deployed after N") {
		t.Errorf("failure %q", failure)
	}
}

func TestShapesAreClosed(t *testing.T) {
	type m = map[string]any
	want := object{"A": 1, "B": optional{true}, "C": list{"x", between(2, 3)}, "D": set{"p", "q"}, "E": text}
	for _, c := range []struct {
		got  m
		want string // paths of the differences
	}{
		{m{"A": "1", "C": []any{"x", "2"}, "D": []any{"q", "p"}, "E": "t"}, ""},
		{m{"A": "1", "B": "true", "C": []any{"x", "3"}, "D": []any{"p", "q"}, "E": "t"}, ""},
		{m{"A": "2", "B": "false", "C": []any{"y", "4"}, "D": []any{"p", "r"}, "E": ""}, "A B C[0] C[1] D D E"},
		{m{"C": "x", "D": "p", "E": "⟨P/Log⟩", "F": "1"}, "A C D E F"},
		{m{"A": "1", "C": []any{"x"}, "D": []any{"p", "p", "q"}, "E": "t"}, "C D"},
	} {
		var paths []string
		for _, d := range differences("", c.got, want) {
			paths = append(paths, d.path)
		}
		if got := strings.Join(paths, " "); got != c.want {
			t.Errorf("%v: differences at %q, want %q", c.got, got, c.want)
		}
	}
}

func TestRates(t *testing.T) {
	f := &fleet{Params: &params.Params{RotateEvery: time.Hour}}
	for expression, right := range map[string]bool{
		"rate(1 hour)": true, "rate(60 minutes)": true,
		"rate(1 hours)": false, "rate(60 minute)": false, "rate(0 hours)": false, "rate(01 hour)": false, "rate(2 hours)": false, "rate(1 Hour)": false, "rate(1hour)": false,
		"cron(0 * * * ? *)": false, "at(2030-01-01T00:00:00)": false, "": false,
	} {
		if problem := f.everyRotation(expression); (problem == "") != right {
			t.Errorf("%q: %q", expression, problem)
		}
	}
}

func TestWhatLooksLikeASecret(t *testing.T) {
	for text, want := range map[string]bool{
		"AKIAIOSFODNN7EXAMPLE": true, "-----BEGIN RSA PRIVATE KEY-----": true, "{{resolve:secretsmanager:x:SecretString}}": true, "PASSWORD=hunter2hunter2": true,
		`"token": "abcdefgh"`: true, "http://user:pass@example.com": true, "d41d8cd98f00b204e9800998ecf8427e": true, "ghp_" + strings.Repeat("a", 36): true,
		"github_pat_11ABCDEFG0abcdefghijklmnop": true, "glpat-abcdefghijklmnopqrst": true, "sk-proj-abcdefghijklmnopqrstuvwx": true, "pwd=hunter2hunter2": true, "passphrase: hunter2hunter2": true,
		"SQUIDFLEET_PASSWORD_PROXY=hunter2hunter2": true, "AWS::SecretsManager::Secret": false,
		"Password of the proxy user alice": false, "aws secretsmanager get-secret-value --region x --secret-id y": false, "arn:aws:scheduler:::aws-sdk:ecs:updateService": false,
		strings.Repeat("0123456789abcdef", 4): false, // an asset's hash
	} {
		if secret.MatchString(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
