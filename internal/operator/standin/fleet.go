package standin

import (
	"fmt"
	"slices"
	"time"
)

// fleet is the model of the addresses.
type fleet struct {
	services     []*service
	started      int  // tasks ever
	neverHealthy bool // new tasks stay in the load balancer's first check
}

// service is an egress address.
type service struct {
	number, desired int
	deployed        int // deployments ever
	tasks           []*task
	deployments     []*deployment // the primary one last
	fails           bool          // the circuit breaker ends its next deployment
	forgets         bool          // that is not described any more
	history         []deployment  // that are over
}

type task struct {
	n          int
	service    *service
	deployment string
	spot       bool
	status     string // lastStatus
	stopping   bool   // desiredStatus STOPPED
	target     string // the load balancer's state of it; "" while it is no target
	stepsLeft  int    // until a stopping one has ended
	startedAt  time.Time
}

type deployment struct {
	id, state, reason string
	created           time.Time
}

// drainSteps is how many looks a task survives that is to end.
const drainSteps = 6

func newFleet() (f fleet) {
	f.resize(2)
	for i, s := range f.services {
		s.tasks[0].startedAt = time.Now().Add(-time.Duration(3-2*i)*time.Hour - 12*time.Minute - 30*time.Second)
	}
	return f
}

// resize gives the fleet n addresses. A new one is healthy for twelve minutes.
func (f *fleet) resize(n int) {
	f.services = f.services[:min(n, len(f.services))]
	for len(f.services) < n {
		s := &service{number: len(f.services) + 1, desired: 1}
		s.deploy(time.Now().Add(-3 * time.Hour)).state = "COMPLETED"
		t := f.start(s)
		t.status, t.target = "RUNNING", "healthy"
		t.startedAt = time.Now().Add(-12*time.Minute - 30*time.Second)
		f.services = append(f.services, s)
	}
}

func (s *service) name() string {
	return fmt.Sprintf("Squidfleet-Proxy-Address%d-8sQk3SbY2oX1", s.number)
}
func (s *service) arn() string { return arn("ecs", "service/"+cluster+"/"+s.name()) }

func (s *service) deploy(at time.Time) *deployment {
	s.deployed++
	d := &deployment{
		id: fmt.Sprintf("ecs-svc/%019d", 4200000000000000000+1000*s.number+s.deployed), state: "IN_PROGRESS",
		created: at,
	}
	s.deployments = append(s.deployments, d)
	return d
}

func (s *service) primary() *deployment { return s.deployments[len(s.deployments)-1] }

// current returns the tasks of the primary deployment that are to run.
func (s *service) current() []*task {
	id := s.primary().id
	return slices.DeleteFunc(slices.Clone(s.tasks), func(t *task) bool { return t.deployment != id || t.stopping })
}

func (f *fleet) start(s *service) *task {
	f.started++
	t := &task{n: f.started, service: s, deployment: s.primary().id, status: "PROVISIONING"}
	s.tasks = append(s.tasks, t)
	return t
}

func (f *fleet) tasks() (all []*task) {
	for _, s := range f.services {
		all = append(all, s.tasks...)
	}
	return all
}

// find returns the first task that is the one, or nil.
func (f *fleet) find(is func(*task) bool) *task {
	all := f.tasks()
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i]
	}
	return nil
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

// step is what happens between two looks at a service. ECS starts a missing task, ends one too
// many, and ends those of before when the new one is healthy.
func (f *fleet) step(s *service) {
	for _, t := range s.tasks {
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
	primary, current := s.primary(), s.current()
	if primary.state == "IN_PROGRESS" && s.fails {
		primary.state, primary.reason = "FAILED", "tasks failed to start."
		if s.forgets {
			s.deployments = s.deployments[:1]
		}
	}
	if len(current) < s.desired && primary.state != "FAILED" {
		f.start(s)
	}
	healthy := s.desired == 0
	for i, t := range current {
		healthy = healthy || t.target == "healthy"
		if i >= s.desired {
			t.stop()
		}
	}
	if primary.state != "IN_PROGRESS" || !healthy {
		return
	}
	// A deployment may be done while old tasks drain: they do not count as running.
	old := 0
	for _, t := range s.tasks {
		if t.deployment != primary.id && t.status == "RUNNING" {
			old++
			t.stop()
		}
	}
	if old == 0 {
		primary.state, s.deployments = "COMPLETED", []*deployment{primary}
	}
}
