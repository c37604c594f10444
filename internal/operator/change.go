package operator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Action is what is done to an address.
type Action string

const (
	// Rotate replaces the task as the schedule does: the old one leaves when the new one serves,
	// and its connections have the drain time to end.
	Rotate Action = "rotate"
	// Retire stops the task at once, and ECS starts another one then.
	Retire Action = "retire"
	// Stop takes the task away until Start.
	Stop Action = "stop"
	// Start undoes Stop.
	Start Action = "start"
)

// ChangeOptions are the options of Change.
type ChangeOptions struct {
	// AtOnce has Rotate begin with all addresses. Otherwise each begins when the one before serves
	// anew, so that at most one address more than before runs twice.
	AtOnce bool
	// Wait until every change is done.
	Wait bool
	// Timeout ends the wait when nothing has changed for so long.
	Timeout time.Duration
}

// Change is what became of an address. The names of its JSON are stable.
type Change struct {
	Number int `json:"number"`
	// State is one of the States.
	State State `json:"state"`
	// Before is the address that goes, After the one that serves in its place; not valid ("") when
	// there is none, or none is known.
	Before netip.Addr `json:"before"`
	After  netip.Addr `json:"after"`
	// Deployment is ECS's id of a rotation.
	Deployment string `json:"deployment,omitempty"`
	// Error is why it failed.
	Error string `json:"error,omitempty"`

	now Address // as it was seen last
	old []Task  // that are to end
}

// State is how far a change is.
type State string

const (
	// Waiting is not begun.
	Waiting State = "waiting"
	// Begun is under way. A new task does not serve yet.
	Begun State = "begun"
	// Serving has a new task that serves. The old one drains.
	Serving State = "serving"
	// Done is over.
	Done State = "done"
	// Failed is over as well. Error says why.
	Failed State = "failed"
)

func (c *Change) over() bool { return c.State == Done || c.State == Failed }

func (c *Change) fail(format string, arguments ...any) {
	c.State, c.Error = Failed, fmt.Sprintf("address %d: ", c.Number)+fmt.Sprintf(format, arguments...)
}

// Selector names an address by its number or by what it is at the moment.
type Selector struct {
	Number  int
	Address netip.Addr
}

// ParseSelector reads a number or an IP address.
func ParseSelector(text string) (s Selector, err error) {
	if s.Number, err = strconv.Atoi(text); err == nil && s.Number > 0 {
		return s, nil
	}
	s.Number = 0
	if s.Address, err = netip.ParseAddr(text); err != nil {
		return s, fmt.Errorf("%q is neither an address nor the number of one: see squidfleet ips", text)
	}
	s.Address = s.Address.Unmap()
	return s, nil
}

// find returns the address and, if it was named by its present value, the task.
func (f *Connection) find(all []Address, s Selector) (a Address, t *Task, err error) {
	for _, a := range all {
		if a.Number == s.Number {
			return a, nil, nil
		}
		for i, t := range a.Tasks {
			if s.Address.IsValid() && t.Address == s.Address {
				return a, &a.Tasks[i], nil
			}
		}
	}
	if s.Address.IsValid() {
		return a, nil, fmt.Errorf("no task of %s has the address %s: it may have been replaced meanwhile; name its "+
			"number, see squidfleet ips", f.Name, s.Address)
	}
	return a, nil, fmt.Errorf("%s has no address %d: its last one is %d", f.Name, s.Number, all[len(all)-1].Number)
}

// underWay reports whether the address's newest deployment is not over, and when it began.
func (a Address) underWay() (since time.Time, is bool) {
	d := primary(a.service)
	return aws.ToTime(d.CreatedAt).UTC(), d.RolloutState == types.DeploymentRolloutStateInProgress
}

// staying returns the tasks that are not on their way out.
func (a Address) staying() []Task {
	return slices.DeleteFunc(slices.Clone(a.Tasks), func(t Task) bool { return t.Health == Draining })
}

// serving is the address that new connections leave from, other than from these tasks.
func (a Address) serving(except []Task) (serving netip.Addr) {
	for _, t := range a.Tasks {
		if t.Health == Healthy && !has(except, t) {
			serving = t.Address
		}
	}
	return serving
}

func has(tasks []Task, one Task) bool {
	return slices.ContainsFunc(tasks, func(t Task) bool { return t.arn == one.arn })
}

// Change does the action to the selected addresses, or to all. It makes one request for each, and
// changes nothing else: what was begun goes on by itself, whatever becomes of this program. One
// that fails does not hold up the others. With an error it returns what was begun, or nil.
//
// It refuses to rotate or retire what is stopped, and to rotate what is being rotated, before it
// begins with anything. Without a selection it leaves out what is stopped, and waits for what is
// being rotated.
func (f *Connection) Change(
	ctx context.Context, action Action, selected []Selector, o ChangeOptions, report Report,
) ([]*Change, error) {
	all, err := f.Addresses(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := f.choose(all, action, selected, report)
	if err != nil {
		return nil, err
	}
	if err = f.carryOut(ctx, all, action, changes, o, report); err == nil {
		var failed []string
		for _, c := range changes {
			if c.Error != "" {
				failed = append(failed, c.Error)
			}
		}
		if len(failed) == 0 {
			return changes, nil
		}
		return changes, errors.New(strings.Join(failed, "; "))
	}
	begun := numbers(changes, func(c *Change) bool { return c.State == Begun || c.State == Serving })
	if begun != nil {
		report.say("what was begun goes on: address %s", strings.Join(begun, ", "))
	}
	if begun == nil && !slices.ContainsFunc(changes, (*Change).over) {
		changes = nil
	}
	return changes, err
}

// choose makes a change of each selected address. It changes nothing.
func (f *Connection) choose(all []Address, action Action, selected []Selector, report Report) ([]*Change, error) {
	changes := []*Change{}
	if len(selected) == 0 {
		for _, a := range all {
			if a.Stopped == (action == Start) {
				changes = append(changes, newChange(a))
			}
		}
		if len(changes) == 0 && action == Rotate {
			return nil, refuse("%s is stopped: squidfleet start starts it, with new addresses", f.Name)
		}
		if left := len(all) - len(changes); left > 0 {
			report.say("left as they are, because they are %s: %d of %d addresses",
				map[bool]string{true: "running", false: "stopped"}[action == Start], left, len(all))
		}
		return changes, nil
	}
	for _, s := range selected {
		a, task, err := f.find(all, s)
		if err != nil {
			return nil, err
		}
		c := newChange(a)
		since, rotating := a.underWay()
		switch {
		case slices.ContainsFunc(changes, func(c *Change) bool { return c.Number == a.Number }):
			continue
		case action == Stop && a.Stopped, action == Start && !a.Stopped:
			report.say("address %d has been %s already", a.Number,
				map[Action]string{Stop: "stopped", Start: "started"}[action])
			continue
		case action == Stop, action == Start:
		case a.Stopped:
			return nil, refuse("address %d is stopped: squidfleet start %[1]d starts it, with a new address", a.Number)
		case task != nil && task.Health == Draining:
			report.say("%s is draining already", task.Address)
			// There is nothing to begin, only an end to wait for.
			c.State = Begun
			c.takes([]Task{*task})
		case action == Rotate && rotating:
			return nil, refuse("address %d is being rotated since %s: wait until that is done", a.Number,
				since.Format(time.RFC3339))
		case action == Retire && task != nil:
			c.takes([]Task{*task})
		case action == Retire && len(c.old) == 0:
			return nil, refuse("address %d has no task: see squidfleet ips and squidfleet logs", a.Number)
		case action == Retire:
			c.takes(c.old[:1])
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func newChange(a Address) *Change {
	c := &Change{Number: a.Number, State: Waiting, now: a}
	c.takes(a.staying())
	return c
}

// takes notes the tasks that are to end. The first one serves, others may be its successors.
func (c *Change) takes(tasks []Task) {
	c.old, c.Before = tasks, netip.Addr{}
	if len(tasks) > 0 {
		c.Before = tasks[0].Address
	}
}

// carryOut begins the changes, and returns when all have begun or, with o.Wait, are over.
func (f *Connection) carryOut(
	ctx context.Context, all []Address, action Action, changes []*Change, o ChangeOptions, report Report,
) error {
	if len(changes) == 0 {
		return nil
	}
	atOnce := o.AtOnce || action != Rotate
	moved, last := f.now(), ""
	for {
		moving := false
		for _, c := range changes {
			c.follow(all, action)
			moving = moving || c.State == Begun
		}
		for _, c := range changes {
			if c.State != Waiting || moving && !atOnce {
				continue
			}
			if err := f.begin(ctx, action, c); err != nil {
				return err
			}
			moving = moving || c.State == Begun
		}
		now := progress(changes)
		report.say("%s", now)
		open := func(c *Change) bool { return c.State == Waiting || o.Wait && !c.over() }
		if !slices.ContainsFunc(changes, open) {
			return nil
		}
		if now != last {
			moved, last = f.now(), now
		}
		if f.now().Sub(moved) > o.Timeout {
			return fmt.Errorf("nothing has changed for %v, and not done is address %s: see squidfleet ips", o.Timeout,
				strings.Join(numbers(changes, open), ", "))
		}
		if err := f.sleep(ctx); err != nil {
			return err
		}
		var err error
		if all, err = f.Addresses(ctx); err != nil {
			return err
		}
	}
}

func numbers(changes []*Change, which func(*Change) bool) (list []string) {
	for _, c := range changes {
		if which(c) {
			list = append(list, strconv.Itoa(c.Number))
		}
	}
	return list
}

// progress is the states in a line, with the numbers as long as they are few.
func progress(changes []*Change) string {
	line := fmt.Sprintf("done: %d of %d", len(numbers(changes, (*Change).over)), len(changes))
	for _, state := range []State{Begun, Serving, Failed} {
		switch in := numbers(changes, func(c *Change) bool { return c.State == state }); {
		case len(in) > 10:
			line += fmt.Sprintf("; %s: %d addresses", state, len(in))
		case len(in) > 0:
			line += fmt.Sprintf("; %s: %s", state, strings.Join(in, ", "))
		}
	}
	return line
}

// begin makes the request of a change, unless the address is being rotated by somebody else.
func (f *Connection) begin(ctx context.Context, action Action, c *Change) (err error) {
	a := c.now
	_, rotating := a.underWay()
	switch {
	case action == Rotate && a.Stopped:
		c.fail("it was stopped meanwhile")
		return nil
	case action == Rotate && rotating:
		return nil
	case action == Retire:
		_, err = f.ecs.StopTask(ctx, &ecs.StopTaskInput{
			Cluster: aws.String(f.cluster), Task: aws.String(c.old[0].arn),
			Reason: aws.String("squidfleet retire " + c.Before.String()),
		})
	default:
		input := &ecs.UpdateServiceInput{Cluster: aws.String(f.cluster), Service: a.service.ServiceArn}
		switch action {
		case Rotate:
			c.takes(a.staying())
			input.ForceNewDeployment = true
		case Stop:
			input.DesiredCount = aws.Int32(0)
		case Start:
			input.DesiredCount = aws.Int32(1)
		}
		var answer *ecs.UpdateServiceOutput
		if answer, err = f.ecs.UpdateService(ctx, input); err == nil && action == Rotate {
			c.Deployment = aws.ToString(primary(*answer.Service).Id)
		}
	}
	if err == nil {
		c.State = Begun
	}
	return err
}

// primary is the deployment whose tasks are the service's newest.
func primary(service types.Service) types.Deployment {
	for _, d := range service.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" {
			return d
		}
	}
	return types.Deployment{}
}

// follow brings a change up to date.
func (c *Change) follow(all []Address, action Action) {
	if c.over() {
		return
	}
	i := slices.IndexFunc(all, func(a Address) bool { return a.Number == c.Number })
	if i < 0 {
		c.fail("it was removed meanwhile")
		return
	}
	a := all[i]
	if c.now = a; c.State == Waiting {
		return
	}
	if c.Deployment != "" {
		i := slices.IndexFunc(a.service.Deployments,
			func(d types.Deployment) bool { return aws.ToString(d.Id) == c.Deployment })
		switch {
		case i < 0 && c.State == Begun:
			c.fail("rotation %s was given up or replaced before its task served: see squidfleet logs", c.Deployment)
			return
		case i < 0: // The new task has served, and the old one has still to end.
		case a.service.Deployments[i].RolloutState == types.DeploymentRolloutStateFailed:
			c.fail("rotation %s failed, and ECS goes back to the old task: %s; see squidfleet logs", c.Deployment,
				aws.ToString(a.service.Deployments[i].RolloutStateReason))
			return
		}
	}
	if action == Stop {
		if len(a.Tasks) == 0 {
			c.State = Done
		}
		return
	}
	// ECS does not count tasks that drain, and may call the deployment completed meanwhile.
	left := slices.ContainsFunc(a.Tasks, func(t Task) bool { return has(c.old, t) })
	c.After = a.serving(c.old)
	switch {
	case !c.After.IsValid():
		c.State = Begun
	case left:
		c.State = Serving
	default:
		c.State = Done
	}
}
