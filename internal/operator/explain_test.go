package operator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/smithy-go"
)

func TestExplainIsOneLineThatSaysWhatToDo(t *testing.T) {
	call := func(code, message string) error {
		return fmt.Errorf("around: %w", &smithy.OperationError{ServiceID: "CloudWatch Logs",
			OperationName: "FilterLogEvents", Err: &smithy.GenericAPIError{Code: code, Message: message}})
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{call("SignatureDoesNotMatch", ""), "this machine's clock"},
		{call("RequestExpired", ""), "have expired: sign in again with aws sso login --profile ops"},
		{call("OptInRequired", "not subscribed"), "this account cannot use that region: not subscribed"},
		{call("ThrottlingException", ""), "AWS limits how often logs:FilterLogEvents may be called"},
		{call("InternalFailure", "two\nlines"), "logs:FilterLogEvents: InternalFailure: two lines"},
		{&smithy.OperationError{ServiceID: "ECS", OperationName: "ListTasks", Err: context.DeadlineExceeded},
			"ecs:ListTasks: AWS did not answer in time"},
		{errors.Join(context.Canceled, errors.New("broken pipe")), "interrupted"},
		{refuse("not %s", "now"), "not now"},
	} {
		got := Explain(c.err, Options{Profile: "ops"})
		if !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
