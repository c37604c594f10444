package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"squidfleet/internal/nlb"
)

// startTimeout is how long a task may take to come into service, besides its health checks.
const startTimeout = 30 * time.Second

// launch starts a task and returns when it is in service, or ends it. deploying is held.
func (f *Fleet) launch(ctx context.Context) (*task, error) {
	t, err := f.newTask()
	if err != nil {
		return nil, err
	}
	if err := f.start(t); err != nil {
		return nil, err
	}
	f.report(Started, t, "")
	err = f.bringIntoService(ctx, t)
	if err == nil {
		return t, nil
	}
	f.balancer.Deregister(t.id) // An error means that it is not registered.
	killGroup(t.command.Process.Pid)
	<-t.exited
	return nil, err
}

func (f *Fleet) bringIntoService(ctx context.Context, t *task) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout+f.o.Timing.healthy())
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)()
	go func() {
		select {
		case <-t.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	address := netip.AddrPortFrom(t.address, uint16(f.p.ListenerPort))
	err := f.balancer.Register(nlb.Target{ID: t.id, Addr: address, Zone: t.zone})
	if err == nil {
		err = f.waitHealthy(ctx, t)
	}
	switch {
	case err != nil && t.ended():
		return fmt.Errorf("%s ended instead of serving (%s):\n%s", t.id, t.command.ProcessState, t.messages.String())
	case err != nil:
		return fmt.Errorf("%s: %w\n%s", t.id, err, t.messages.String())
	case !f.serve(t):
		return fmt.Errorf("%s ended as soon as it was healthy (%s):\n%s", t.id, t.command.ProcessState,
			t.messages.String())
	}
	f.report(Serving, t, "")
	return nil
}

// serve puts a task into service, unless it has ended meanwhile: watch has then seen it in another
// phase and does not replace it.
func (f *Fleet) serve(t *task) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.ended() {
		return false
	}
	t.phase = PhaseServing
	return true
}

// waitHealthy waits until the load balancer's and the container's own check pass, as ECS does.
func (f *Fleet) waitHealthy(ctx context.Context, t *task) error {
	if err := f.balancer.WaitState(ctx, t.id, nlb.Healthy); err != nil {
		return err
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

// launchAll starts n tasks at a time. It returns all of them, or none and an error.
func (f *Fleet) launchAll(ctx context.Context, n int) ([]*task, error) {
	tasks, errs := make([]*task, n), make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { tasks[i], errs[i] = f.launch(ctx) })
	}
	group.Wait()
	err := errors.Join(errs...)
	if err == nil {
		return tasks, nil
	}
	for _, t := range tasks {
		if t != nil {
			f.beginStop(t)
			f.balancer.Deregister(t.id)
			f.group.Go(func() { f.finishStop(t) })
		}
	}
	return nil, err
}

// inService returns the tasks in service. One that has ended is not among them, even if watch has
// not forgotten it yet.
func (f *Fleet) inService() []*task {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*task
	for _, t := range f.tasks {
		if t.phase == PhaseServing && !t.ended() {
			all = append(all, t)
		}
	}
	return all
}

// replaceAttempts and replacePause bound the attempts to replace a task.
const (
	replaceAttempts = 3
	replacePause    = time.Second
)

// replace brings the fleet back to its size, in the background. A rotation that is starting tasks
// goes first, and may leave nothing to do.
func (f *Fleet) replace() {
	f.group.Go(func() {
		f.deploying.Lock()
		defer f.deploying.Unlock()
		var err error
		for attempt := 0; len(f.inService()) < f.o.Tasks && f.ctx.Err() == nil; attempt++ {
			if attempt == replaceAttempts {
				f.fail(fmt.Errorf("replace a task: after %d attempts: %w", attempt, err))
				return
			}
			if attempt > 0 {
				select {
				case <-time.After(replacePause):
				case <-f.ctx.Done():
				}
			}
			if _, err = f.launch(f.ctx); err == nil {
				return
			}
		}
	})
}

// retire deregisters a task, drains it and stops it, and returns when it is gone.
func (f *Fleet) retire(t *task) {
	f.mu.Lock()
	if t.phase != PhaseServing { // It was lost or interrupted meanwhile.
		f.mu.Unlock()
		<-t.exited
		return
	}
	t.phase = PhaseDraining
	f.mu.Unlock()
	f.report(Draining, t, "")
	f.balancer.Deregister(t.id) // An error means that the balancer is closed.
	select {
	case <-time.After(f.o.Timing.StopDelay):
	case <-t.exited:
	case <-f.ctx.Done(): // Close ends it.
		<-t.exited
		return
	}
	f.beginStop(t)
	f.finishStop(t)
}

// beginStop sends SIGTERM.
func (f *Fleet) beginStop(t *task) {
	if t.ended() {
		return
	}
	f.mu.Lock()
	t.phase = PhaseStopping
	f.mu.Unlock()
	f.report(Stopping, t, "")
	t.signal(syscall.SIGTERM)
}

// finishStop waits for the end, and sends SIGKILL after the stop timeout. Close has a shorter one.
func (f *Fleet) finishStop(t *task) {
	select {
	case <-t.exited:
		return
	case <-f.ctx.Done():
		<-t.exited
		return
	case <-time.After(f.o.Timing.StopTimeout):
	}
	f.report(Killed, t, "")
	killGroup(t.command.Process.Pid)
	<-t.exited
}

// serving finds a task in service.
func (f *Fleet) serving(id string) (*task, error) {
	for _, t := range f.inService() {
		if t.id == id {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%s: is not in service", id)
}

// Interrupt stops a task as a Spot interruption does: SIGTERM and deregistration at once. It does
// not wait for the end. A replacement starts.
func (f *Fleet) Interrupt(id string) error {
	t, err := f.serving(id)
	if err != nil {
		return err
	}
	f.beginStop(t)
	if err := f.balancer.Deregister(t.id); err != nil {
		return err
	}
	f.group.Go(func() { f.finishStop(t) })
	f.replace()
	return nil
}

// Kill ends a task as a machine that fails does. A replacement starts.
func (f *Fleet) Kill(id string) error {
	t, err := f.serving(id)
	if err != nil {
		return err
	}
	return killGroup(t.command.Process.Pid)
}
