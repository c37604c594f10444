package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Explain makes one line of an error of this package: what failed, and what to do about it.
func Explain(err error, o Options) string {
	return strings.Join(strings.Fields(explain(err, o)), " ")
}

func explain(err error, o Options) string {
	var noProfile config.SharedConfigProfileNotExistError
	var operation *smithy.OperationError
	var answer smithy.APIError
	var unreachable *net.OpError
	var unanswered *smithyhttp.RequestSendError
	action := ""
	if errors.As(err, &operation) {
		action = permission(operation)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &noProfile):
		return fmt.Sprintf("no AWS profile %q: name another with --profile or AWS_PROFILE, or make it with "+
			"aws configure --profile %[1]s", noProfile.Profile)
	case errors.Is(err, errNoRegion):
		return "no AWS region: name one with --region, AWS_REGION or aws configure"
	case errors.Is(err, errNoCredentials):
		return fmt.Sprintf("%s; sign in with %s", err, signIn(o))
	case errors.As(err, &answer):
		return explainAnswer(err, answer, action, o)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s: AWS did not answer in time: try again", action)
	case errors.As(err, &unreachable):
		return fmt.Sprintf("%s: AWS cannot be reached: %s", action, unreachable)
	case errors.As(err, &unanswered):
		return fmt.Sprintf("%s: no answer from AWS, which may have done it: %s", action, unanswered.Err)
	}
	return err.Error()
}

// explainAnswer sorts AWS's refusals by their codes: each service has its own for the same thing.
func explainAnswer(err error, answer smithy.APIError, action string, o Options) string {
	code := answer.ErrorCode()
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired":
		return fmt.Sprintf("the AWS credentials have expired: sign in again with %s", signIn(o))
	case "UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "InvalidAccessKeyId":
		return fmt.Sprintf("AWS does not know the credentials: sign in with %s", signIn(o))
	case "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature":
		return fmt.Sprintf("AWS does not accept the signature: the secret access key is wrong, or this machine's "+
			"clock is; sign in with %s", signIn(o))
	case "OptInRequired", "RegionDisabledException":
		return fmt.Sprintf("%s: this account cannot use that region: %s", action, answer.ErrorMessage())
	}
	if denied(code) {
		return fmt.Sprintf("not allowed: %s; let your IAM policy allow %s, or name another --profile",
			firstSentence(answer.ErrorMessage()), action)
	}
	if _, throttled := retry.DefaultThrottleErrorCodes[code]; throttled {
		return fmt.Sprintf("AWS limits how often %s may be called, and still did after %s: wait a minute and try again",
			action, attempts(err))
	}
	return fmt.Sprintf("%s: %s: %s", action, code, answer.ErrorMessage())
}

func denied(code string) bool {
	return slices.Contains([]string{
		"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedException",
		"Client.UnauthorizedOperation",
	}, code)
}

// Denied returns the IAM action that AWS did not allow, or "" if that is not what the error is.
func Denied(err error) string {
	var operation *smithy.OperationError
	var answer smithy.APIError
	if errors.As(err, &operation) && errors.As(err, &answer) && denied(answer.ErrorCode()) {
		return permission(operation)
	}
	return ""
}

// attempts returns how often a request was made.
func attempts(err error) string {
	var exhausted *retry.MaxAttemptsError
	if errors.As(err, &exhausted) {
		return fmt.Sprintf("%d attempts", exhausted.Attempt)
	}
	return "all attempts"
}

// signIn is the command that gets credentials.
func signIn(o Options) string {
	if o.Profile != "" {
		return "aws sso login --profile " + o.Profile + ", or refresh that profile's keys"
	}
	return "aws sso login or aws configure, or set AWS_PROFILE"
}

// permission is the IAM action of an operation.
func permission(operation *smithy.OperationError) string {
	prefix := map[string]string{
		"CloudWatch Logs": "logs", "Elastic Load Balancing v2": "elasticloadbalancing", "Route 53": "route53",
		"Secrets Manager": "secretsmanager", "Service Quotas": "servicequotas",
	}[operation.ServiceID]
	return cmp.Or(prefix, strings.ToLower(operation.ServiceID)) + ":" + operation.OperationName
}

// firstSentence leaves out what EC2 adds: a long encoded text that only a privileged call can read.
func firstSentence(message string) string {
	message, _, _ = strings.Cut(message, " Encoded authorization failure message:")
	return strings.TrimRight(message, ". ")
}
