package operator

import (
	"cmp"
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
	// decisionTime is how long ECS may take to choose the task that it scales in by: seconds.
	decisionTime = 3 * time.Minute
	// undoTime bounds putting the fleet back.
	undoTime = time.Minute
)

// replacement is the usual way to retire a task; see [Connection.Retire].
type replacement struct {
	fleet      *Connection
	victim     Task
	before     []Task // those that can be protected, the victim among them
	size       int
	deployment string
	report     Report

	protected  time.Time // when it was asked for last
	successors []Task    // those that are protected besides the ones from before
	exposed    bool      // the victim may have no protection
}

func (r *replacement) run(ctx context.Context, timeout time.Duration) error {
	// Without this ECS may end another task, so a caller who may not do it changes nothing.
	if some, err := r.protect(ctx, r.before); err != nil {
		// Refused is refused, but without an answer ECS may have done it.
		if some || !errors.As(err, new(smithy.APIError)) {
			r.release(ctx)
		}
		return err
	}
	err := r.fleet.setDesired(ctx, r.size+1)
	var now []Task
	if err == nil {
		r.report.say("starting a successor of %s", r.victim.Address)
		now, err = r.awaitSuccessor(ctx, timeout)
	}
	if err == nil {
		err = r.scaleIn(ctx, now)
	}
	if err != nil {
		return r.putBack(ctx, err)
	}
	return r.awaitDecision(ctx, without(now, r.victim), min(decisionTime, timeout))
}

func (r *replacement) protect(ctx context.Context, tasks []Task) (some bool, err error) {
	r.protected = time.Now()
	return r.fleet.protect(ctx, tasks, true)
}

// awaitSuccessor returns the tasks as they are when enough of them are healthy besides the victim.
func (r *replacement) awaitSuccessor(ctx context.Context, timeout time.Duration) ([]Task, error) {
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
		if int(service.DesiredCount) != r.size+1 {
			return nil, fmt.Errorf("somebody else set the desired count to %d meanwhile; before, it was %d",
				service.DesiredCount, r.size)
		}
		now, err := r.fleet.tasksOf(ctx, service)
		if err != nil {
			return nil, err
		}
		healthy := count(without(now, r.victim), Healthy)
		if healthy >= r.size {
			return now, nil
		}
		if time.Since(r.protected) >= r.fleet.renewProtection {
			if _, err := r.protect(ctx, stable(intersect(now, r.before))); err != nil {
				return nil, err
			}
		}
		r.report.say("healthy tasks besides %s: %d of %d", r.victim.Address, healthy, r.size)
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("only %d of %d tasks besides %s are healthy after %v: see squidfleet ips and "+
				"squidfleet logs, or use --now", healthy, r.size, r.victim.Address, timeout)
		}
	}
}

// scaleIn takes the desired count back when the victim is the only task without protection.
func (r *replacement) scaleIn(ctx context.Context, now []Task) error {
	keep := stable(without(now, r.victim))
	r.successors = subtract(keep, r.before)
	if _, err := r.protect(ctx, keep); err != nil {
		return err
	}
	// One that does not run is not protected.
	if r.exposed = contains(r.before, r.victim); r.exposed {
		if _, err := r.fleet.protect(ctx, []Task{r.victim}, false); err != nil {
			return err
		}
	}
	return r.fleet.setDesired(ctx, r.size)
}

// awaitDecision returns when ECS has taken the victim, after scaleIn. It returns an error if
// another task ends instead. While ECS has not chosen, protection stays until it expires.
func (r *replacement) awaitDecision(ctx context.Context, others []Task, timeout time.Duration) error {
	err := r.decision(ctx, others, timeout)
	interrupted := ctx.Err()
	if interrupted != nil {
		// Nothing is left to put back, but the others still need their protection.
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		err = r.decision(late, others, undoTime)
	}
	if err == nil || errors.As(err, new(*otherEnded)) {
		r.release(ctx)
	} else {
		r.report.say(protectionStays, protectionMinutes)
	}
	if interrupted != nil && err != nil {
		r.report.say("%v", err)
	}
	return cmp.Or(interrupted, err)
}

const protectionStays = "scale-in protection of the other tasks stays for at most %d minutes"

// otherEnded is the error when another task than the victim ends.
type otherEnded struct{ other, victim Task }

func (o *otherEnded) Error() string {
	return fmt.Sprintf("%s ended in place of %s, although it was protected: see squidfleet ips", o.other.Address,
		o.victim.Address)
}

func (r *replacement) decision(ctx context.Context, others []Task, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		now, err := r.fleet.Tasks(ctx)
		if err != nil {
			return err
		}
		if ending(now, r.victim) {
			r.report.say("%s is draining", r.victim.Address)
			return nil
		}
		for _, t := range others {
			if t.Health != Draining && ending(now, t) {
				return &otherEnded{t, r.victim}
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("ECS did not take %s away within %v, although it is the only task without protection: "+
				"see squidfleet ips", r.victim.Address, timeout)
		}
		if err := r.fleet.sleep(ctx); err != nil {
			return err
		}
	}
}

// ending reports whether a task is draining, or has ended.
func ending(now []Task, one Task) bool {
	return !slices.ContainsFunc(now, func(t Task) bool { return t.arn == one.arn && t.Health != Draining })
}

// putBack lowers the desired count again so that the old tasks stay, also when ctx has ended: a
// fleet that is too big costs money until somebody sees it.
func (r *replacement) putBack(ctx context.Context, cause error) error {
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := r.undo(undo, errors.As(cause, new(*Refusal))); err != nil {
		return &leftover{cause, err, fmt.Sprintf("service %s of cluster %s may be left with a desired count of %d "+
			"instead of %d, because putting it back failed", r.fleet.service, r.fleet.cluster, r.size+1, r.size)}
	}
	return cause
}

// leftover is an error after which the fleet is not as it was.
type leftover struct {
	first, undo error
	what        string
}

func (l *leftover) Error() string   { return fmt.Sprintf("%v; and %s: %v", l.first, l.what, l.undo) }
func (l *leftover) Unwrap() []error { return []error{l.first, l.undo} }

func (r *replacement) undo(ctx context.Context, rotating bool) error {
	service, err := r.fleet.describeService(ctx)
	if err != nil {
		return err
	}
	switch n := int(service.DesiredCount); {
	case n == r.size && r.exposed: // lowered by a request whose answer was lost: ECS is choosing
		r.report.say(protectionStays, protectionMinutes)
		return nil
	case n == r.size: // not raised at all
		r.release(ctx)
		return nil
	case n != r.size+1:
		r.report.say("the desired count is %d, set by somebody else, and is left as it is", n)
		r.release(ctx)
		return nil
	}
	r.report.say("putting the fleet back to %d tasks", r.size)
	if rotating {
		// The rotation ends all of them, and protection would hold it up.
		r.release(ctx)
		return r.fleet.setDesired(ctx, r.size)
	}
	// An old task without protection must not be scaled in by: rather the fleet stays too big.
	if r.exposed {
		if _, err := r.protect(ctx, []Task{r.victim}); err != nil {
			return err
		}
	}
	if _, err := r.fleet.protect(ctx, r.successors, false); err != nil {
		return err
	}
	if err := r.fleet.setDesired(ctx, r.size); err != nil {
		return err
	}
	for deadline := time.Now().Add(undoTime / 2); ; {
		now, err := r.fleet.Tasks(ctx)
		if err != nil {
			return err
		}
		if len(now)-count(now, Draining) <= r.size {
			r.release(ctx)
			return nil
		}
		if time.Now().After(deadline) {
			r.report.say(protectionStays, protectionMinutes)
			return nil
		}
		if err := r.fleet.sleep(ctx); err != nil {
			return err
		}
	}
}

// release takes the protection of all tasks away, also when ctx has ended.
func (r *replacement) release(ctx context.Context) {
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	tasks := append(r.before[:len(r.before):len(r.before)], r.successors...)
	now, err := r.fleet.Tasks(undo)
	if err == nil {
		// One that is ending cannot be changed, and need not be.
		tasks = stable(intersect(now, tasks))
		_, err = r.fleet.protect(undo, tasks, false)
	}
	if err != nil {
		r.report.say("scale-in protection stays for at most %d minutes: %v", protectionMinutes, err)
	}
}

func (f *Connection) setDesired(ctx context.Context, n int) error {
	_, err := f.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String(f.cluster), Service: aws.String(f.service), DesiredCount: aws.Int32(int32(n)),
	})
	return err
}
