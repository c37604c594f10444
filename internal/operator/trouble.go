package operator

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// troubleTime is how far back Trouble looks: as long as the queue keeps a rotation that could not
// be started.
const troubleTime = 14 * 24 * time.Hour

// Trouble returns a line for each thing that kept addresses from changing: rotations that could
// not be started, and the newest deployment if ECS gave it up. A question that AWS refuses is a
// line as well, so that the other one is still answered. It returns an error only when ctx has
// ended.
func (f *Connection) Trouble(ctx context.Context) ([]string, error) {
	lines := []string{}
	for _, ask := range []func(context.Context) (string, error){f.FailedRotations, f.AbandonedDeployment} {
		line, err := ask(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			line = "whether rotations failed is not known: " + Explain(err, f.options)
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// FailedRotations says how many rotations the schedule could not start. It returns "" for none.
func (f *Connection) FailedRotations(ctx context.Context) (string, error) {
	queue := f.outputs[outputRotationFailures]
	if queue == "" { // rotateEvery=off
		return "", nil
	}
	const number = sqstypes.QueueAttributeNameApproximateNumberOfMessages
	answer, err := f.queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(queue), AttributeNames: []sqstypes.QueueAttributeName{number},
	})
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(answer.Attributes[string(number)])
	if err != nil {
		return "", fmt.Errorf("the number of messages in %s: %w", queue, err)
	}
	if n == 0 {
		return "", nil
	}
	return fmt.Sprintf("rotations that could not be started in the last %d days: %d; why: aws sqs receive-message "+
		"--message-attribute-names All --queue-url %s", int(troubleTime.Hours()/24), n, queue), nil
}

// AbandonedDeployment names the newest deployment that ECS gave up. It returns "" if there is none,
// or if a later one succeeded.
func (f *Connection) AbandonedDeployment(ctx context.Context) (string, error) {
	abandoned, err := f.newestDeployment(ctx, time.Now().Add(-troubleTime),
		types.ServiceDeploymentStatusRollbackRequested, types.ServiceDeploymentStatusRollbackInProgress,
		types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed)
	if abandoned == nil || err != nil {
		return "", err
	}
	created := aws.ToTime(abandoned.CreatedAt)
	if success, err := f.newestDeployment(ctx, created, types.ServiceDeploymentStatusSuccessful); success != nil ||
		err != nil {
		return "", err
	}
	return fmt.Sprintf("ECS gave up the deployment of %s (%s), so the addresses are those from before: %s; "+
		"see squidfleet logs", created.UTC().Format(time.RFC3339), abandoned.Status,
		aws.ToString(abandoned.StatusReason)), nil
}

// HangingDeployment names the deployment that is under way for longer than a limit. It returns ""
// if there is none.
func (f *Connection) HangingDeployment(ctx context.Context, limit time.Duration) (string, error) {
	service, err := f.describeService(ctx)
	if err != nil {
		return "", err
	}
	for _, d := range service.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" && d.RolloutState == types.DeploymentRolloutStateInProgress &&
			time.Since(aws.ToTime(d.CreatedAt)) > limit {
			return fmt.Sprintf("the deployment of %s has not ended, and a rotation takes %s at most; see "+
				"squidfleet ips and squidfleet logs", aws.ToTime(d.CreatedAt).UTC().Format(time.RFC3339), limit), nil
		}
	}
	return "", nil
}

// newestDeployment returns the newest deployment with one of the statuses that was created after a
// time, or nil.
func (f *Connection) newestDeployment(
	ctx context.Context, after time.Time, statuses ...types.ServiceDeploymentStatus,
) (*types.ServiceDeploymentBrief, error) {
	input := &ecs.ListServiceDeploymentsInput{
		Cluster: aws.String(f.cluster), Service: aws.String(f.service), Status: statuses,
		CreatedAt: &types.CreatedAt{After: aws.Time(after)}, MaxResults: aws.Int32(100),
	}
	var newest *types.ServiceDeploymentBrief
	for more := true; more; {
		page, err := f.ecs.ListServiceDeployments(ctx, input)
		if err != nil {
			return nil, err
		}
		for i, d := range page.ServiceDeployments {
			// ECS does not say in which order they come.
			if newest == nil || aws.ToTime(d.CreatedAt).After(aws.ToTime(newest.CreatedAt)) {
				newest = &page.ServiceDeployments[i]
			}
		}
		input.NextToken = page.NextToken
		more = page.NextToken != nil
	}
	return newest, nil
}
