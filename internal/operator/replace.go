package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
)

const (
	// protectionMinutes is how long scale-in protection lasts if nobody takes it away; until then it would hold up a rotation. ECS decides within seconds which task it scales in by.
	protectionMinutes = 5
	// decisionTime is how long ECS may take for it.
	decisionTime = 3 * time.Minute
	// undoTime bounds putting the fleet back.
	undoTime = time.Minute
)

// replacement is the usual way to retire a task; see [Fleet.Retire].
type replacement struct {
	fleet      *Fleet
	victim     Task
	before     []Task
	size       int
	deployment string
	report     Report
}

func (r replacement) run(ctx context.Context, timeout time.Duration) error {
	err := r.fleet.setDesired(ctx, r.size+1)
	if answer := smithy.APIError(nil); errors.As(err, &answer) {
		return err // refused, so there is nothing to put back; without an answer ECS may have done it
	}
	if err == nil {
		r.report.say("starting a successor of %s", r.victim.Address)
		var now []Task
		if now, err = r.awaitSuccessor(ctx, timeout); err == nil {
			err = r.scaleIn(ctx, stable(without(now, r.victim)))
		}
	}
	if err == nil {
		return nil
	}
	// Also when ctx has ended: a fleet that is too big costs money until somebody sees it.
	r.report.say("putting the fleet back to %d tasks", r.size)
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	keep := stable(r.before)
	if errors.As(err, new(*Refusal)) {
		keep = nil // the rotation that came in between ends all of them
	}
	if undoErr := r.undo(undo, keep); undoErr != nil {
		return &leftover{err, undoErr, fmt.Sprintf("service %s of cluster %s may be left with a desired count of %d instead of %d, because putting it back failed", r.fleet.service, r.fleet.cluster, r.size+1, r.size)}
	}
	return err
}

// leftover is an error after which the fleet is not as it was.
type leftover struct {
	first, undo error
	what        string
}

func (l *leftover) Error() string   { return fmt.Sprintf("%v; and %s: %v", l.first, l.what, l.undo) }
func (l *leftover) Unwrap() []error { return []error{l.first, l.undo} }

// awaitSuccessor returns the tasks as they are when enough of them are healthy besides the victim.
func (r replacement) awaitSuccessor(ctx context.Context, timeout time.Duration) ([]Task, error) {
	deadline := time.Now().Add(timeout)
	for {
		if err := r.fleet.sleep(ctx); err != nil {
			return nil, err
		}
		service, err := r.fleet.describeService(ctx)
		if err != nil {
			return nil, err
		}
		if primary(service) != r.deployment {
			return nil, refuse("a rotation began meanwhile, and replaces %s as well", r.victim.Address)
		}
		now, err := r.fleet.tasksOf(ctx, service)
		if err != nil {
			return nil, err
		}
		healthy := count(without(now, r.victim), Healthy)
		if healthy >= r.size {
			return now, nil
		}
		r.report.say("healthy tasks besides %s: %d of %d", r.victim.Address, healthy, r.size)
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("only %d of %d tasks besides %s are healthy after %v: see squidfleet ips and squidfleet logs, or use --now", healthy, r.size, r.victim.Address, timeout)
		}
	}
}

// scaleIn takes the desired count back, and ECS ends a task that is not in keep. It returns when it is clear that the victim is the one.
func (r replacement) scaleIn(ctx context.Context, keep []Task) error {
	// Also those that could be protected before one could not.
	defer r.unprotect(ctx, keep)
	if err := r.fleet.protect(ctx, keep, true); err != nil {
		return err
	}
	if err := r.fleet.setDesired(ctx, r.size); err != nil {
		return err
	}
	deadline := time.Now().Add(decisionTime)
	for {
		now, err := r.fleet.Tasks(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(now, func(t Task) bool { return t.arn == r.victim.arn })
		if i < 0 || now[i].Health == Draining {
			r.report.say("%s is draining", r.victim.Address)
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("ECS did not take %s away within %v: see squidfleet ips", r.victim.Address, decisionTime)
		}
		if err := r.fleet.sleep(ctx); err != nil {
			return err
		}
	}
}

// unprotect goes on when ctx has ended.
func (r replacement) unprotect(ctx context.Context, tasks []Task) {
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	// One that has ended meanwhile cannot be changed, and need not.
	if err := r.fleet.protect(undo, tasks, false); err != nil {
		r.report.say("scale-in protection stays for at most %d minutes: %v", protectionMinutes, err)
	}
}

// undo takes the desired count back so that the tasks in keep stay.
func (r replacement) undo(ctx context.Context, keep []Task) error {
	defer r.unprotect(ctx, keep)
	// A task that cannot be protected has most likely ended; then there is one less to take away.
	protectErr := r.fleet.protect(ctx, keep, true)
	if err := r.fleet.setDesired(ctx, r.size); err != nil {
		return errors.Join(protectErr, err)
	}
	// ECS must have chosen before the protection ends.
	for deadline := time.Now().Add(undoTime / 2); len(keep) > 0 && time.Now().Before(deadline); {
		now, err := r.fleet.Tasks(ctx)
		if err != nil {
			return err
		}
		if len(now)-count(now, Draining) <= r.size {
			break
		}
		if err := r.fleet.sleep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stable returns the tasks that ECS can protect: those that run.
func stable(tasks []Task) []Task {
	return slices.DeleteFunc(slices.Clone(tasks), func(t Task) bool { return t.State != "RUNNING" || t.Health == Draining })
}

func (f *Fleet) setDesired(ctx context.Context, n int) error {
	_, err := f.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String(f.cluster), Service: aws.String(f.service), DesiredCount: aws.Int32(int32(n)),
	})
	return err
}

// protect gives tasks scale-in protection, or takes it.
func (f *Fleet) protect(ctx context.Context, tasks []Task, on bool) error {
	for chunk := range slices.Chunk(tasks, protectTasksMax) {
		input := &ecs.UpdateTaskProtectionInput{Cluster: aws.String(f.cluster), ProtectionEnabled: on}
		if on {
			input.ExpiresInMinutes = aws.Int32(protectionMinutes)
		}
		for _, t := range chunk {
			input.Tasks = append(input.Tasks, t.arn)
		}
		answer, err := f.ecs.UpdateTaskProtection(ctx, input)
		if err != nil {
			return err
		}
		for _, failure := range answer.Failures {
			return fmt.Errorf("task %s: ECS did not change its protection: %s", aws.ToString(failure.Arn), aws.ToString(failure.Reason))
		}
	}
	return nil
}
