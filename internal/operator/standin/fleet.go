package standin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// fleet is the model.
type fleet struct {
	stackStatus     string
	without         []string // outputs that the stack does not have
	credentials     string
	users           []string
	password        string // everybody's; "" for each one's own
	desired         int
	tasks           []*task
	deployments     []*deployment // the primary one last
	started         int           // tasks ever
	neverHealthy    bool          // new tasks stay in the load balancer's first check
	rotationFails   bool          // the circuit breaker ends the next deployment
	rotateMeanwhile bool          // a deployment begins at the next look
	scaleInStalls   bool          // too many tasks are left running
	unprotected     bool          // scaling in does not care for protection
	startsNothing   bool          // missing tasks stay missing
	events          []event
	failedRotations int // messages in the queue
	history         []history
}

type task struct {
	n          int
	deployment string
	spot       bool
	status     string // lastStatus
	stopping   bool   // desiredStatus STOPPED
	target     string // the load balancer's state of it; "" while it is no target
	protected  bool
	blocked    bool // its protection cannot be changed
	stepsLeft  int  // until a stopping one has ended
	startedAt  time.Time
}

type deployment struct {
	id, state, reason string
	created           time.Time
}

type event struct {
	id, stream, message string
	at                  time.Time
}

// drainSteps is how many looks a task survives that is to end.
const drainSteps = 4

func newFleet() fleet {
	f := fleet{
		stackStatus: "UPDATE_COMPLETE", credentials: "secretsmanager", users: []string{"alice", "bob"}, desired: 2,
	}
	f.deploy(time.Now().Add(-3 * time.Hour))
	f.deployments[0].state = "COMPLETED"
	for i := range 2 {
		t := f.start()
		t.status, t.target = "RUNNING", "healthy"
		t.startedAt = time.Now().Add(-time.Duration(3-2*i)*time.Hour - 12*time.Minute - 30*time.Second)
	}
	return f
}

func (f *fleet) deploy(at time.Time) *deployment {
	d := &deployment{
		id: fmt.Sprintf("ecs-svc/%019d", 4200000000000000000+len(f.deployments)+f.started), state: "IN_PROGRESS",
		created: at,
	}
	f.deployments = append(f.deployments, d)
	return d
}

func (f *fleet) primary() *deployment { return f.deployments[len(f.deployments)-1] }

func (f *fleet) start() *task {
	f.started++
	t := &task{n: f.started, deployment: f.primary().id, status: "PROVISIONING"}
	f.tasks = append(f.tasks, t)
	return t
}

func (t *task) id() string      { return fmt.Sprintf("%032x", 0xf1ee7000+t.n) }
func (t *task) arn() string     { return arn("ecs", "task/"+cluster+"/"+t.id()) }
func (t *task) eni() string     { return fmt.Sprintf("eni-%017x", 0xf1ee7000+t.n) }
func (t *task) private() string { return fmt.Sprintf("10.0.%d.%d", 64+64*(t.n%2), 9+t.n) }
func (t *task) public() string  { return fmt.Sprintf("198.51.100.%d", t.n) }
func (t *task) zone() string    { return Region + string(rune('a'+t.n%2)) }

func (t *task) stop() {
	if !t.stopping {
		t.stopping, t.stepsLeft, t.status = true, drainSteps, "DEACTIVATING"
		if t.target != "" {
			t.target = "draining"
		}
	}
}

func arn(service, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, Region, account, resource)
}

// of returns the tasks of a deployment that are to run.
func (f *fleet) of(d *deployment) []*task {
	return slices.DeleteFunc(slices.Clone(f.tasks), func(t *task) bool { return t.deployment != d.id || t.stopping })
}

// step is what happens between two looks.
func (f *fleet) step() {
	for _, t := range f.tasks {
		switch {
		case t.stopping:
			if t.stepsLeft--; t.stepsLeft <= 0 {
				t.status, t.target = "STOPPED", ""
			}
		case t.status == "PROVISIONING":
			t.status, t.target, t.startedAt = "RUNNING", "initial", time.Now()
		case t.target == "initial" && !f.neverHealthy:
			t.target = "healthy"
		}
	}
	if f.rotateMeanwhile {
		f.rotateMeanwhile = false
		f.deploy(time.Now())
	}
	f.schedule()
}

// schedule is ECS's: it starts missing tasks and ends surplus ones, the oldest first, except those
// with scale-in protection.
func (f *fleet) schedule() {
	primary := f.primary()
	current := f.of(primary)
	if !f.startsNothing {
		for range f.desired - len(current) {
			f.start()
		}
	}
	for _, t := range current {
		if len(f.of(primary)) > f.desired && (!t.protected || f.unprotected) && !f.scaleInStalls {
			t.stop()
		}
	}
	if primary.state == "IN_PROGRESS" && f.rotationFails {
		primary.state, primary.reason = "FAILED", "tasks failed to start."
	}
	healthy := 0
	for _, t := range current {
		if t.target == "healthy" {
			healthy++
		}
	}
	if primary.state != "IN_PROGRESS" || healthy < f.desired {
		return
	}
	// A deployment may be done while old tasks drain: they do not count as running.
	old := 0
	for _, t := range f.tasks {
		if t.deployment != primary.id && t.status == "RUNNING" {
			old++
			if !t.protected {
				t.stop()
			}
		}
	}
	if old == 0 {
		primary.state = "COMPLETED"
		f.deployments = []*deployment{primary}
	}
}

func (f *fleet) find(address string) (*task, error) {
	i := slices.IndexFunc(f.tasks, func(t *task) bool { return t.public() == address })
	if i < 0 {
		return nil, fmt.Errorf("no task has the address %s", address)
	}
	return f.tasks[i], nil
}

// Set changes the fleet. Its changes are words, so that test scripts can name them:
//
//	desired N, users NAME,NAME…, password TEXT, credentials-in-image, stack-status STATUS,
//	without-output ID, unhealthy ADDRESS, spot ADDRESS, stopping ADDRESS, activating ADDRESS,
//	blocked ADDRESS (its protection cannot be changed), never-healthy, healthy-again,
//	rotation-fails, rotating, rotation-begins, failed-rotations N, deployed STATUS AGO,
//	desired-only N (without its tasks), starts-nothing, scale-in-stalls, scale-in-goes-on,
//	ignores-protection
//
// and those of what is around the fleet.
func (a *AWS) Set(change string, arguments ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &a.fleet
	argument := strings.Join(arguments, " ")
	switch change {
	case "users":
		f.users = strings.Split(argument, ",")
	case "password":
		f.password = argument
	case "credentials-in-image":
		f.credentials = "image"
	case "stack-status":
		f.stackStatus = argument
	case "without-output":
		f.without = append(f.without, argument)
	case "never-healthy", "healthy-again":
		f.neverHealthy = change == "never-healthy"
	case "scale-in-stalls", "scale-in-goes-on":
		f.scaleInStalls = change == "scale-in-stalls"
	case "failed-rotations":
		_, err := fmt.Sscan(argument, &f.failedRotations)
		return err
	case "deployed":
		ago, err := time.ParseDuration(arguments[1])
		f.history = append(f.history, history{arguments[0], time.Now().Add(-ago)})
		return err
	case "starts-nothing":
		f.startsNothing = true
	case "ignores-protection":
		f.unprotected = true
	case "rotation-fails":
		f.rotationFails = true
	case "rotation-begins":
		f.rotateMeanwhile = true
	case "rotating":
		f.deploy(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
		f.schedule()
	case "desired", "desired-only":
		if _, err := fmt.Sscan(argument, &f.desired); err != nil {
			return err
		}
		for change == "desired" && len(f.of(f.primary())) < f.desired {
			t := f.start()
			t.status, t.target, t.startedAt = "RUNNING", "healthy", time.Now().
				Add(-12*time.Minute-time.Duration(t.n)*time.Second)
		}
	case "unhealthy", "spot", "stopping", "activating", "blocked":
		t, err := f.find(argument)
		if err != nil {
			return err
		}
		switch change {
		case "unhealthy":
			t.target = "unhealthy"
		case "spot":
			t.spot = true
		case "activating":
			t.status, t.target = "ACTIVATING", "initial"
		case "blocked":
			t.blocked = true
		case "stopping":
			t.stop()
		}
	default:
		return a.around.set(change, arguments)
	}
	return nil
}

// Desired returns the service's desired count.
func (a *AWS) Desired() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fleet.desired
}

// Protected returns the addresses of the tasks with scale-in protection that are not ending.
func (a *AWS) Protected() []netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []netip.Addr
	for _, t := range a.fleet.tasks {
		if t.protected && !t.stopping {
			list = append(list, netip.MustParseAddr(t.public()))
		}
	}
	return list
}

// Log has the task with that address write a line, some time ago.
func (a *AWS) Log(address, message string, ago time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.fleet.find(address)
	if err != nil {
		return err
	}
	id := fmt.Sprintf("%056d", len(a.fleet.events)+1)
	a.fleet.events = append(a.fleet.events, event{id, "proxy/proxy/" + t.id(), message, time.Now().Add(-ago)})
	return nil
}
