package local

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"squidfleet/internal/nlb"
)

// service is what ECS runs for an address: one task, which is the only target of the address's own
// listener.
type service struct {
	number   int
	port     int
	listener *nlb.Balancer // of the port
	rotating atomic.Bool

	deploying sync.Mutex  // held while its task is started
	stopped   atomic.Bool // ECS's desired count is 0; set with deploying held
}

// service finds an address by its number.
func (f *Fleet) service(number int) (*service, error) {
	if number < 1 || number > len(f.services) {
		return nil, fmt.Errorf("there is no address %d: they are 1 to %d", number, len(f.services))
	}
	return f.services[number-1], nil
}

// groups are the target groups that a service's task is registered with.
func (f *Fleet) groups(s *service) []*nlb.Balancer { return []*nlb.Balancer{f.common, s.listener} }

// startTimeout is how long a task may take to come into service, besides its health checks.
const startTimeout = 30 * time.Second

// launch starts a task and returns when it is in service, or ends it. s.deploying is held.
func (f *Fleet) launch(ctx context.Context, s *service) (*task, error) {
	t, err := f.newTask(s)
	if err != nil {
		return nil, err
	}
	if err := f.start(t); err != nil {
		return nil, err
	}
	f.report(Started, s, t, "")
	err = f.bringIntoService(ctx, t)
	if err == nil {
		return t, nil
	}
	f.deregister(t)
	killGroup(t.command.Process.Pid)
	<-t.running.Done()
	return nil, err
}

func (f *Fleet) bringIntoService(ctx context.Context, t *task) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout+f.o.Timing.healthy())
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)()
	defer context.AfterFunc(t.running, cancel)()
	err := f.register(t)
	if err == nil {
		err = f.waitHealthy(ctx, t)
	}
	switch {
	case err != nil && t.ended():
		return fmt.Errorf("%s ended instead of serving (%s):\n%s", t.ID, t.command.ProcessState, t.messages.String())
	case err != nil:
		return fmt.Errorf("%s: %w\n%s", t.ID, err, t.messages.String())
	case !f.serve(t):
		return fmt.Errorf("%s ended as soon as it was healthy (%s):\n%s", t.ID, t.command.ProcessState,
			t.messages.String())
	}
	f.report(Serving, t.service, t, "")
	return nil
}

func (f *Fleet) register(t *task) error {
	address := netip.AddrPortFrom(t.Address, uint16(f.p.ListenerPort))
	for _, group := range f.groups(t.service) {
		if err := group.Register(nlb.Target{ID: t.ID, Addr: address}); err != nil {
			return err
		}
	}
	return nil
}

// deregister takes a task out of both groups. An error would mean that it is not registered.
func (f *Fleet) deregister(t *task) {
	for _, group := range f.groups(t.service) {
		group.Deregister(t.ID)
	}
}

// serve puts a task into service, unless it has ended meanwhile: watch has then seen it in another
// phase and does not replace it.
func (f *Fleet) serve(t *task) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.ended() {
		return false
	}
	t.Phase = PhaseServing
	return true
}

// waitHealthy waits until the load balancer's checks of both groups and the container's own check
// pass, as ECS does.
func (f *Fleet) waitHealthy(ctx context.Context, t *task) error {
	for _, group := range f.groups(t.service) {
		if err := group.WaitState(ctx, t.ID, nlb.Healthy); err != nil {
			return err
		}
	}
	if f.o.Program != "" {
		return nil // It is not the entrypoint that runs, and has no such check.
	}
	var err error
	for range healthRetries {
		if err = f.checkHealth(ctx, t); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// healthRetries is how many failed checks make a container unhealthy, as in stacks/task.go.
const healthRetries = 3

// current returns the task in service, or nil. A task that has ended is not in service, even if
// watch has not forgotten it yet.
func (f *Fleet) current(s *service) *task {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.tasks {
		if t.service == s && t.Phase == PhaseServing && !t.ended() {
			return t
		}
	}
	return nil
}

// replaceAttempts and replacePause bound the attempts to replace a task.
const (
	replaceAttempts = 3
	replacePause    = time.Second
)

// replace gives an address a task again, in the background. A rotation that is starting one goes
// first, and leaves nothing to do. An address whose tasks do not start is stopped.
func (f *Fleet) replace(s *service) {
	f.group.Go(func() {
		s.deploying.Lock()
		defer s.deploying.Unlock()
		var err error
		for attempt := 0; !s.stopped.Load() && f.current(s) == nil && f.ctx.Err() == nil; attempt++ {
			if attempt == replaceAttempts {
				s.stopped.Store(true)
				f.report(Stopped, s, nil, fmt.Sprintf("after %d attempts: %v", attempt, err))
				return
			}
			if attempt > 0 {
				select {
				case <-time.After(replacePause):
				case <-f.ctx.Done():
				}
			}
			if _, err = f.launch(f.ctx, s); err == nil {
				return
			}
		}
	})
}

// beginDrain deregisters a task, unless it was lost or interrupted.
func (f *Fleet) beginDrain(t *task) bool {
	f.mu.Lock()
	serving := t.Phase == PhaseServing && !t.ended()
	if serving {
		t.Phase = PhaseDraining
	}
	f.mu.Unlock()
	if serving {
		f.report(Draining, t.service, t, "")
		f.deregister(t)
	}
	return serving
}

// lasts waits for a time and reports whether the task is still running then. Close ends it sooner.
func (f *Fleet) lasts(t *task, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-f.ctx.Done():
		<-t.running.Done()
	case <-t.running.Done():
	}
	return false
}

// finishDrain waits for the end of the drain, stops the task and returns when it is gone.
func (f *Fleet) finishDrain(t *task) {
	if f.lasts(t, f.o.Timing.StopDelay) {
		f.beginStop(t)
		f.finishStop(t)
	}
}

// beginStop sends SIGTERM.
func (f *Fleet) beginStop(t *task) {
	f.mu.Lock()
	t.Phase = PhaseStopping
	f.mu.Unlock()
	f.report(Stopping, t.service, t, "")
	t.signal(syscall.SIGTERM)
}

// finishStop waits for the end, and sends SIGKILL after the stop timeout. Close has a shorter one.
func (f *Fleet) finishStop(t *task) {
	if f.lasts(t, f.o.Timing.StopTimeout) {
		f.kill(t)
	}
}

// kill ends a task that does not end by itself.
func (f *Fleet) kill(t *task) {
	f.report(Killed, t.service, t, "")
	killGroup(t.command.Process.Pid)
	<-t.running.Done()
}

// Stop stops an address, as a desired count of 0 does: its task drains, and none follows. It
// returns when the task is gone. Until [Fleet.Start] the address's port refuses connections.
func (f *Fleet) Stop(number int) error {
	s, err := f.service(number)
	if err != nil {
		return err
	}
	s.deploying.Lock()
	if s.stopped.Swap(true) {
		s.deploying.Unlock()
		return fmt.Errorf("address %d is stopped already", number)
	}
	t := f.current(s)
	draining := t != nil && f.beginDrain(t)
	s.deploying.Unlock()
	if draining {
		f.finishDrain(t)
	}
	f.report(Stopped, s, nil, "")
	return nil
}

// Start starts an address that was stopped, and returns when its task is in service. If the task
// does not start, the address stays stopped.
func (f *Fleet) Start(ctx context.Context, number int) error {
	s, err := f.service(number)
	if err != nil {
		return err
	}
	s.deploying.Lock()
	defer s.deploying.Unlock()
	if !s.stopped.Load() {
		return fmt.Errorf("address %d is not stopped", number)
	}
	if _, err := f.launch(ctx, s); err != nil {
		f.report(Stopped, s, nil, err.Error())
		return fmt.Errorf("start address %d: %w", number, err)
	}
	s.stopped.Store(false)
	return nil
}

// serving finds the task in service of an address.
func (f *Fleet) serving(number int) (*task, error) {
	s, err := f.service(number)
	if err != nil {
		return nil, err
	}
	if t := f.current(s); t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("address %d has no task in service", number)
}

// Interrupt stops an address's task as a Spot interruption does: SIGTERM and deregistration at
// once. It does not wait for the end. A replacement starts.
func (f *Fleet) Interrupt(number int) error {
	t, err := f.serving(number)
	if err != nil {
		return err
	}
	f.beginStop(t)
	f.deregister(t)
	f.group.Go(func() { f.finishStop(t) })
	f.replace(t.service)
	return nil
}

// Kill ends an address's task as a machine that fails does. A replacement starts.
func (f *Fleet) Kill(number int) error {
	t, err := f.serving(number)
	if err != nil {
		return err
	}
	return killGroup(t.command.Process.Pid)
}

// AddressStatus is an address at one moment.
type AddressStatus struct {
	Number, Port int
	Stopped      bool
	// Next is when the schedule rotates it; zero without one.
	Next time.Time
	// Tasks are those that exist, in the order of their start.
	Tasks []TaskStatus
}

// Addresses returns all addresses in the order of their numbers.
func (f *Fleet) Addresses() []AddressStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]AddressStatus, len(f.services))
	for i, s := range f.services {
		all[i] = AddressStatus{Number: s.number, Port: s.port, Stopped: s.stopped.Load()}
		if f.every > 0 {
			all[i].Next = f.next(s, time.Now())
		}
	}
	for _, t := range f.tasks {
		of := &all[t.service.number-1]
		of.Tasks = append(of.Tasks, f.status(t))
	}
	return all
}
