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

// RetireOptions are the options of Retire.
type RetireOptions struct {
	// Now stops the task at once, and ECS starts another. Otherwise the other one serves first.
	Now bool
	// Floor is how many other tasks must be healthy with Now. Without it, it is the fleet's size.
	Floor int
	// Wait until the task has ended.
	Wait bool
	// Timeout bounds each wait: for the successor to serve, and with Wait for the task to end.
	Timeout time.Duration
}

// Retirement is what became of a task. The names of its JSON are stable.
type Retirement struct {
	Address netip.Addr `json:"address"`
	ID      string     `json:"task"`
	// State is "draining" (no new connections, the old ones may end) or, after Wait, "stopped".
	State string `json:"state"`
	// Replacement is the successor's address; not valid ("") while that is not known.
	Replacement netip.Addr `json:"replacement"`
	// Error is why the rest was not waited for. The caller fills it in.
	Error string `json:"error,omitempty"`
}

// Retire replaces the task with that egress address, and no other one. With an error it returns
// what had been done, or nil.
//
// The usual way loses no connection that the drain time can save, and the fleet is never too small:
//
//  1. All tasks get ECS's scale-in protection, renewed as long as this takes. It keeps a second
//     Retire out, and shows that the caller may protect tasks before anything depends on it.
//  2. The service's desired count goes up by one, and ECS starts a task.
//  3. When enough tasks besides the one to retire are healthy, the new ones are protected too,
//     and the one to retire loses its protection.
//  4. The desired count goes back. ECS scales in by the only task without protection: it takes it
//     from the load balancer, waits for the deregistration delay, and sends SIGTERM only then. It
//     is an error if another task ends instead.
//  5. The protection is taken away again. If this program is killed before, it expires by itself.
//
// If that cannot be finished, because ctx ends or no task starts, the desired count goes back with
// the old tasks protected. A desired count that somebody else has set meanwhile stays. After step
// 4 nothing is left to put back: when ctx ends then, the task is retired all the same. The tasks
// may then be spread unevenly over the zones. With availability zone rebalancing, ECS replaces a
// further task, of its own choice, some time later.
//
// With Now it is ECS's StopTask: deregistration and SIGTERM at the same moment, and the successor
// starts afterwards. The task serves on while it has connections, for its drain timeout, which is
// less than two minutes whatever the deregistration delay is.
//
// Retire refuses during a deployment, which replaces the task as well, and during another Retire.
// It leaves a task that is draining already alone, without an error.
func (f *Connection) Retire(
	ctx context.Context, address netip.Addr, o RetireOptions, report Report,
) (*Retirement, error) {
	service, err := f.describeService(ctx)
	if err != nil {
		return nil, err
	}
	tasks, err := f.tasksOf(ctx, service)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(tasks, func(t Task) bool { return t.Address == address })
	if i < 0 {
		return nil, fmt.Errorf("no task of %s has the address %s: see squidfleet ips", f.Name, address)
	}
	victim := tasks[i]
	r := &Retirement{Address: address, ID: victim.ID, State: "draining"}
	size := int(service.DesiredCount)
	switch {
	case victim.Health == Draining:
		report.say("%s is draining already", address)
	case o.Now:
		err = f.stop(ctx, victim, tasks, o.Floor, report)
	default:
		err = f.replace(ctx, service, victim, tasks, o.Timeout, report)
	}
	if err != nil {
		return nil, err
	}
	if o.Wait {
		if err := f.awaitEnd(ctx, victim, size, o.Timeout, report); err != nil {
			return r, err
		}
		r.State = "stopped"
	}
	now, err := f.Tasks(ctx)
	if err != nil {
		return r, err
	}
	for _, t := range now {
		if t.Address.IsValid() && !contains(tasks, t) {
			r.Replacement = t.Address
		}
	}
	return r, nil
}

// replace makes ECS replace a task if the fleet is in a state for it.
func (f *Connection) replace(
	ctx context.Context, service types.Service, victim Task, tasks []Task, timeout time.Duration, report Report,
) error {
	deployment, err := settled(service)
	if err != nil {
		return err
	}
	size := int(service.DesiredCount)
	if n := len(tasks) - count(tasks, Draining); n != size {
		return refuse("%d tasks run or start, and the desired count is %d: somebody changes the fleet, or a task has "+
			"just ended; try again when squidfleet ips shows %[2]d", n, size)
	}
	before := stable(tasks)
	if err := f.refuseProtected(ctx, before); err != nil {
		return err
	}
	r := replacement{fleet: f, victim: victim, before: before, size: size, deployment: deployment, report: report}
	return r.run(ctx, timeout)
}

func contains(tasks []Task, t Task) bool {
	return slices.ContainsFunc(tasks, func(other Task) bool { return other.arn == t.arn })
}

// without returns the tasks besides one.
func without(tasks []Task, one Task) []Task { return subtract(tasks, []Task{one}) }

// intersect returns those of the tasks that are in other, as they are in tasks.
func intersect(tasks, other []Task) []Task {
	return slices.DeleteFunc(slices.Clone(tasks), func(t Task) bool { return !contains(other, t) })
}

// subtract returns those of the tasks that are not in other.
func subtract(tasks, other []Task) []Task {
	return slices.DeleteFunc(slices.Clone(tasks), func(t Task) bool { return contains(other, t) })
}

// stop ends a task at once.
func (f *Connection) stop(ctx context.Context, victim Task, tasks []Task, floor int, report Report) error {
	if n := count(without(tasks, victim), Healthy); n < floor {
		return refuse("without %s there would be %d healthy tasks, and --floor is %d: leave --now away, and its "+
			"successor serves first, or lower --floor", victim.Address, n, floor)
	}
	_, err := f.ecs.StopTask(ctx, &ecs.StopTaskInput{
		Cluster: aws.String(f.cluster), Task: aws.String(victim.arn),
		Reason: aws.String("squidfleet retire " + victim.Address.String()),
	})
	if err == nil {
		report.say("%s is draining; ECS starts its successor", victim.Address)
	}
	return err
}

// awaitEnd returns when the task has ended and the fleet is whole.
func (f *Connection) awaitEnd(ctx context.Context, victim Task, size int, timeout time.Duration, report Report) error {
	deadline := time.Now().Add(timeout)
	for {
		tasks, err := f.Tasks(ctx)
		if err != nil {
			return err
		}
		healthy := count(tasks, Healthy)
		ended := !contains(tasks, victim)
		if ended && healthy >= size {
			return nil
		}
		state := "has ended"
		if !ended {
			state = "is draining"
		}
		report.say("%s %s; healthy tasks: %d of %d", victim.Address, state, healthy, size)
		if time.Now().After(deadline) {
			return fmt.Errorf("%s %s, and %d of %d tasks are healthy after %v; it goes on: see squidfleet ips",
				victim.Address, state, healthy, size, timeout)
		}
		if err := f.sleep(ctx); err != nil {
			return err
		}
	}
}
