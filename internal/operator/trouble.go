package operator

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"squidfleet/params"
)

// troubleTime is how far back Trouble looks: as long as the queue keeps a rotation that could not
// be started.
const troubleTime = 14 * 24 * time.Hour

// Trouble returns a line for each thing that kept addresses from changing: rotations that could
// not be started, and deployments that ECS gave up. A question that AWS refuses is a line as well.
// It returns an error only when ctx has ended.
//
// ECS tells of deployments one service at a time, so only the first ten addresses that are older
// than they should be are asked for.
func (f *Connection) Trouble(ctx context.Context, all []Address) ([]string, error) {
	lines := []string{}
	tell := func(err error, found ...string) {
		if err != nil {
			found = append(found, "whether rotations failed is not known: "+Explain(err, f.options))
		}
		lines = append(lines, found...)
	}
	failed, err := f.FailedRotations(ctx)
	tell(err, failed)
	late := slices.DeleteFunc(slices.Clone(all), func(a Address) bool { return !f.overdue(a, f.now()) })
	abandoned, err := f.abandoned(ctx, late[:min(len(late), askedForMax)])
	tell(err, abandoned...)
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" }), ctx.Err()
}

const (
	askedForMax = 10
	// rotationGrace is how late a rotation may be: Scheduler tries again for up to an hour.
	rotationGrace = time.Hour
)

// overdue reports whether the address has a task from before a rotation that should be over.
func (f *Connection) overdue(a Address, now time.Time) bool {
	if f.rotateEvery == 0 {
		return false
	}
	due := params.NextRotation(a.Number, f.rotateEvery, now.Add(-rotationGrace)).Add(-f.rotateEvery)
	return slices.ContainsFunc(a.Tasks, func(t Task) bool {
		return t.Health != Draining && !t.StartedAt.IsZero() && t.StartedAt.Before(due)
	})
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

// AbandonedDeployments names the addresses whose newest deployment ECS gave up, unless a later one
// succeeded. It returns "" for none.
func (f *Connection) AbandonedDeployments(ctx context.Context) (string, error) {
	all, err := f.bare(ctx)
	if err != nil {
		return "", err
	}
	lines, err := f.abandoned(ctx, all)
	return strings.Join(lines, "; "), err
}

func (f *Connection) abandoned(ctx context.Context, some []Address) (lines []string, err error) {
	for _, a := range some {
		given, err := f.newestDeployment(ctx, a, time.Now().Add(-troubleTime),
			types.ServiceDeploymentStatusRollbackRequested, types.ServiceDeploymentStatusRollbackInProgress,
			types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed)
		if err != nil {
			return lines, err
		}
		if given == nil {
			continue
		}
		created := aws.ToTime(given.CreatedAt)
		success, err := f.newestDeployment(ctx, a, created, types.ServiceDeploymentStatusSuccessful)
		if err != nil {
			return lines, err
		}
		if success == nil {
			lines = append(lines, fmt.Sprintf("ECS gave up the deployment of %s of address %d (%s), so it is the one "+
				"from before: %s; see squidfleet logs", created.UTC().Format(time.RFC3339), a.Number, given.Status,
				aws.ToString(given.StatusReason)))
		}
	}
	return lines, nil
}

// HangingDeployments names the addresses whose deployment is under way for longer than a limit. It
// returns "" if there are none.
func (f *Connection) HangingDeployments(ctx context.Context, limit time.Duration) (string, error) {
	all, err := f.bare(ctx)
	if err != nil {
		return "", err
	}
	var hanging []string
	for _, a := range all {
		if since, is := a.underWay(); is && time.Since(since) > limit {
			hanging = append(hanging, fmt.Sprintf("%d (since %s)", a.Number, since.Format(time.RFC3339)))
		}
	}
	if len(hanging) == 0 {
		return "", nil
	}
	return fmt.Sprintf("deployments have not ended of address %s, and a rotation takes %s at most; see squidfleet "+
		"ips and squidfleet logs", strings.Join(hanging, ", "), limit), nil
}

// newestDeployment returns an address's newest deployment after a time with one of the statuses, or
// nil.
func (f *Connection) newestDeployment(
	ctx context.Context, a Address, after time.Time, statuses ...types.ServiceDeploymentStatus,
) (*types.ServiceDeploymentBrief, error) {
	input := &ecs.ListServiceDeploymentsInput{
		Cluster: aws.String(f.cluster), Service: a.service.ServiceName, Status: statuses,
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
