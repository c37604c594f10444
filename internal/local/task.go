package local

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"squidfleet/internal/nlb"
	"squidfleet/proxyimage"
	"squidfleet/proxyimage/container"
)

// Phase is where a task stands in its life.
type Phase string

// The phases, in their order. A task that is gone has none.
const (
	// PhaseStarting: the task is not in service yet.
	PhaseStarting Phase = "starting"
	// PhaseServing: the task is in service.
	PhaseServing Phase = "serving"
	// PhaseDraining: the task is deregistered, and its connections may go on.
	PhaseDraining Phase = "draining"
	// PhaseStopping: the task was sent SIGTERM.
	PhaseStopping Phase = "stopping"
)

// TaskStatus is a task at one moment.
type TaskStatus struct {
	ID string `json:"id"`
	// Address is where the task's connections come from.
	Address netip.Addr `json:"address"`
	Zone    string     `json:"zone"`
	Phase   Phase      `json:"phase"`
	Started time.Time  `json:"started"`
	// Health is the common group's view of the task.
	Health nlb.State `json:"health"`
	// Open is how many connections it has of both groups, Requests how many lines it has logged: a
	// request that was asked for a password first is two.
	Open     int    `json:"open"`
	Requests uint64 `json:"requests"`
}

// task is one running entrypoint. Fleet.mu guards its Phase. Fleet.status has what the load
// balancer and the log know.
type task struct {
	TaskStatus
	service *service
	name    string // Squid's service name

	dir      string
	command  *exec.Cmd
	requests requestCounter
	messages tail
	running  context.Context // ends with the entrypoint
	exit     context.CancelFunc
}

// ended reports whether the entrypoint has ended.
func (t *task) ended() bool { return t.running.Err() != nil }

// newTask gives a task its address and its directory. What all tasks share is linked.
func (f *Fleet) newTask(s *service) (*task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	c := proxyimage.Config(f.p, f.network)
	address, err := free(f.nextAddress, c.ListenPort, c.HealthPort)
	if err != nil {
		return nil, err
	}
	f.nextAddress = address.Next()
	f.made++
	t := &task{service: s, name: fmt.Sprint(squidPrefix(f.dir), f.made), TaskStatus: TaskStatus{
		ID: fmt.Sprintf("task-%d", f.made), Address: address, Zone: zoneName((f.made - 1) % f.o.Zones),
		Phase: PhaseStarting,
	}}
	t.running, t.exit = context.WithCancel(context.Background())
	t.dir = filepath.Join(f.dir, t.ID)
	c.ListenAddress, c.OutgoingAddress, c.LocalOrigin = address, address, f.o.Origin
	conf, err := c.Render()
	if err != nil {
		return nil, fmt.Errorf("squid.conf of %s: %w", t.ID, err)
	}
	if f.o.Edit != nil {
		conf = f.o.Edit(conf)
	}
	if err := f.fill(t.dir, conf); err != nil {
		return nil, err
	}
	f.tasks = append(f.tasks, t)
	return t, nil
}

// fill makes a task's directory.
func (f *Fleet) fill(dir, conf string) error {
	for _, d := range []string{dir, filepath.Join(dir, container.Run)} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := f.user.give(filepath.Join(dir, container.Run)); err != nil {
		return err
	}
	// Squid runs the entrypoint as a helper.
	shared := []string{container.Entrypoint, container.ErrorDir, container.Localtime}
	if f.p.Credentials == container.CredentialsImage {
		shared = append(shared, container.Passwords)
	}
	for _, name := range shared {
		if err := os.Symlink(filepath.Join(f.staged(), name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, container.SquidConf), []byte(conf), 0o644)
}

// environment returns what the task definition gives to the entrypoint, adapted to this machine.
func (f *Fleet) environment(t *task) []string {
	return append(proxyimage.Environ(f.p, f.o.Passwords, f.digestKey),
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		container.EnvDir+"="+t.dir,
		container.EnvSquid+"="+f.squid,
		container.EnvName+"="+t.name,
		// The address is known, and nobody outside could tell it.
		container.EnvEgressURL+"="+container.EgressOff,
		container.EnvDrainTimeout+"="+f.o.Timing.TaskDrain.String(),
	)
}

// start starts the task's programs.
func (f *Fleet) start(t *task) error {
	program := f.o.Program
	if program == "" {
		program = filepath.Join(f.staged(), container.Entrypoint)
	}
	command := exec.Command(program)
	command.Dir = t.dir
	command.Env = f.environment(t)
	command.Stdout, command.Stderr = &t.requests, &t.messages
	command.WaitDelay = container.LogGrace
	command.SysProcAttr = taskProcess(f.user)
	f.mu.Lock()
	err := f.ctx.Err() // Close misses no process.
	if err == nil {
		err = command.Start()
	}
	if err == nil {
		t.command, t.Started = command, time.Now()
		f.group.Go(func() { f.watch(t) })
	}
	f.mu.Unlock()
	if err == nil {
		return nil
	}
	f.remove(t)
	if os.IsPermission(err) {
		err = fmt.Errorf("%w; %s", err, f.user.temporary())
	}
	return fmt.Errorf("start %s: %w", t.ID, err)
}

// watch waits for the task's end, clears up after it, and replaces it if it ended unasked.
func (f *Fleet) watch(t *task) {
	t.command.Wait() // Reported below; an access log that cannot be counted is no failure.
	t.exit()
	f.mu.Lock()
	phase := t.Phase
	closing := f.ctx.Err() != nil
	f.mu.Unlock()
	if phase == PhaseServing && !closing {
		f.report(Lost, t.service, t, t.command.ProcessState.String())
		f.deregister(t)
		f.replace(t.service)
	}
	detail := t.command.ProcessState.String()
	if !t.command.ProcessState.Success() && t.messages.String() != "" {
		lines := strings.Split(t.messages.String(), "\n")
		detail += ": " + lines[len(lines)-1]
	}
	f.report(Ended, t.service, t, detail)
	f.remove(t)
}

// remove forgets an ended task with everything it left: a killed Squid leaves its segments.
func (f *Fleet) remove(t *task) {
	f.mu.Lock()
	f.tasks = slices.DeleteFunc(f.tasks, func(other *task) bool { return other == t })
	f.mu.Unlock()
	os.RemoveAll(t.dir) // Close removes its parent, and returns an error if that fails.
	removeSegments(t.name)
}

// signal sends a signal to the entrypoint alone, as ECS does. It may have ended.
func (t *task) signal(s syscall.Signal) { t.command.Process.Signal(s) }

// checkHealth runs the container's own health check.
func (f *Fleet) checkHealth(ctx context.Context, t *task) error {
	check := exec.CommandContext(ctx, filepath.Join(f.staged(), container.Entrypoint), container.Health)
	check.Dir = t.dir
	check.Env = []string{container.EnvDir + "=" + t.dir}
	check.SysProcAttr = taskProcess(f.user)
	out, err := check.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
