package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

const (
	// protectionMinutes is how long scale-in protection lasts if it is not taken away. Until then
	// it would hold up a rotation.
	protectionMinutes = 5
	// renewProtection is the age at which protection is renewed. What is left then is longer than
	// putting the fleet back takes.
	renewProtection = 2 * time.Minute

	// How many tasks ECS takes in one call.
	protectTasksMax, protectedTasksMax = 10, 100
)

// stable returns the tasks that ECS can protect: those that run.
func stable(tasks []Task) []Task {
	return slices.DeleteFunc(slices.Clone(tasks),
		func(t Task) bool { return t.State != "RUNNING" || t.Health == Draining })
}

// protect gives tasks scale-in protection, or takes it away, and reports whether it changed any.
// It goes on after a task that it cannot change.
func (f *Connection) protect(ctx context.Context, tasks []Task, on bool) (some bool, err error) {
	var failed []error
	for chunk := range slices.Chunk(tasks, protectTasksMax) {
		input := &ecs.UpdateTaskProtectionInput{Cluster: aws.String(f.cluster), Tasks: arns(chunk),
			ProtectionEnabled: on}
		if on {
			input.ExpiresInMinutes = aws.Int32(protectionMinutes)
		}
		answer, err := f.ecs.UpdateTaskProtection(ctx, input)
		if err != nil {
			return some, errors.Join(append(failed, err)...)
		}
		some = some || len(answer.ProtectedTasks) > 0
		for _, failure := range answer.Failures {
			failed = append(failed, fmt.Errorf("task %s: ECS did not change its protection: %s",
				aws.ToString(failure.Arn), aws.ToString(failure.Reason)))
		}
	}
	return some, errors.Join(failed...)
}

// refuseProtected refuses when one of the tasks has scale-in protection already. A retire protects
// all of them first, so two cannot run at the same time.
func (f *Connection) refuseProtected(ctx context.Context, tasks []Task) error {
	for chunk := range slices.Chunk(tasks, protectedTasksMax) {
		answer, err := f.ecs.GetTaskProtection(ctx,
			&ecs.GetTaskProtectionInput{Cluster: aws.String(f.cluster), Tasks: arns(chunk)})
		if err != nil {
			return err
		}
		for _, p := range answer.ProtectedTasks {
			if !p.ProtectionEnabled {
				continue
			}
			i := slices.IndexFunc(tasks, func(t Task) bool { return t.arn == aws.ToString(p.TaskArn) })
			return refuse("%s has scale-in protection until %s: another retire is at work, or was killed within the "+
				"last %d minutes, or somebody protects tasks for another reason; wait until then", tasks[i].Address,
				aws.ToTime(p.ExpirationDate).UTC().Format(time.RFC3339), protectionMinutes)
		}
	}
	return nil
}

func arns(tasks []Task) []string {
	list := make([]string, len(tasks))
	for i, t := range tasks {
		list[i] = t.arn
	}
	return list
}
