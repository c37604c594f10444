package standin

import (
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
