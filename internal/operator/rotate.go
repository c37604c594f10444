package operator

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// RotateOptions are the options of Rotate.
type RotateOptions struct {
	// Wait until every old task has ended, at most Timeout.
	Wait    bool
	Timeout time.Duration
}

// Rotation is what became of one. The names of its JSON are stable.
type Rotation struct {
	// Deployment is ECS's id of it.
	Deployment string `json:"deployment"`
	// State is "started", or after Wait "completed", "failed" (ECS goes back to the old tasks) or
	// "replaced" (by another deployment).
	State string `json:"state"`
	// Before are the fleet's addresses before it, After those when it was completed.
	Before []netip.Addr `json:"before"`
	After  []netip.Addr `json:"after,omitempty"`
	// Seconds is how long it took.
	Seconds int64 `json:"seconds,omitempty"`
	// Error is why the end was not waited for. The caller fills it in.
	Error string `json:"error,omitempty"`
}

// Rotate replaces every task, as the fleet's own schedule does: new tasks serve before the first
// old one is taken from the load balancer, and an old one's connections have the drain time to
// end. It refuses during another deployment, which would have to begin again. When ctx ends, the
// rotation goes on. With an error Rotate returns the rotation if one was started, or nil.
func (f *Connection) Rotate(ctx context.Context, o RotateOptions, report Report) (*Rotation, error) {
	service, err := f.describeService(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := settled(service); err != nil {
		return nil, err
	}
	tasks, err := f.tasksOf(ctx, service)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	answer, err := f.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String(f.cluster), Service: aws.String(f.service), ForceNewDeployment: true,
	})
	if err != nil {
		return nil, err
	}
	r := &Rotation{Deployment: primary(*answer.Service), State: "started", Before: addresses(tasks)}
	report.say("rotation %s started", r.Deployment)
	if !o.Wait {
		return r, nil
	}
	if err := f.awaitDeployment(ctx, r, o.Timeout, report); err != nil {
		if ctx.Err() != nil {
			report.say("rotation %s goes on", r.Deployment)
		}
		return r, err
	}
	if tasks, err = f.Tasks(ctx); err != nil {
		return r, err
	}
	r.State, r.After, r.Seconds = "completed", addresses(tasks), int64(time.Since(begun).Seconds())
	return r, nil
}

// settled returns the id of the service's deployment, and refuses when that is still under way.
func settled(service types.Service) (string, error) {
	for _, d := range service.Deployments {
		if d.RolloutState == types.DeploymentRolloutStateInProgress {
			return "", refuse("deployment %s is under way since %s and replaces every task: %d of %d new ones run; "+
				"wait until it is done", aws.ToString(d.Id), aws.ToTime(d.CreatedAt).UTC().Format(time.RFC3339),
				d.RunningCount, d.DesiredCount)
		}
	}
	return primary(service), nil
}

// primary is the id of the deployment whose tasks are the service's newest.
func primary(service types.Service) string {
	for _, d := range service.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" {
			return aws.ToString(d.Id)
		}
	}
	return ""
}

// awaitDeployment returns when every task of another deployment has ended.
func (f *Connection) awaitDeployment(ctx context.Context, r *Rotation, timeout time.Duration, report Report) error {
	deadline := time.Now().Add(timeout)
	for {
		if err := f.sleep(ctx); err != nil {
			return err
		}
		service, err := f.describeService(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(service.Deployments,
			func(d types.Deployment) bool { return aws.ToString(d.Id) == r.Deployment })
		if i < 0 {
			r.State = "replaced"
			return fmt.Errorf("rotation %s was replaced by another deployment before it was done: see squidfleet ips",
				r.Deployment)
		}
		ours := service.Deployments[i]
		if ours.RolloutState == types.DeploymentRolloutStateFailed {
			r.State = "failed"
			return fmt.Errorf("rotation %s failed, and ECS goes back to the old tasks: %s; see squidfleet logs",
				r.Deployment, aws.ToString(ours.RolloutStateReason))
		}
		// ECS does not count tasks that drain, and may call the deployment completed meanwhile.
		tasks, err := f.tasksOf(ctx, service)
		if err != nil {
			return err
		}
		old := len(slices.DeleteFunc(tasks, func(t Task) bool { return t.deployment == r.Deployment }))
		if ours.RolloutState == types.DeploymentRolloutStateCompleted && old == 0 {
			return nil
		}
		report.say("new tasks running: %d of %d, old tasks left: %d", ours.RunningCount, ours.DesiredCount, old)
		if time.Now().After(deadline) {
			return fmt.Errorf("rotation %s is not done after %v; it goes on: see squidfleet ips", r.Deployment, timeout)
		}
	}
}
