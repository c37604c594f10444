package integration

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/nlb"
)

// fleet holds tasks with the same keys. The load balancer gives connections to them in turn.
type fleet struct {
	// proxy is the host:port that clients connect to. Their addresses are all the same.
	proxy    string
	balancer *nlb.Balancer
	tasks    []*squidTask // the oldest first
}

func startFleet(t *testing.T, tasks int) *fleet {
	t.Helper()
	f := &fleet{}
	f.balancer, f.proxy = hop(t, insider)
	for range tasks {
		f.add(t)
	}
	return f
}

// add starts a task and waits until the load balancer sends to it.
func (f *fleet) add(t *testing.T) {
	t.Helper()
	task := startTask(t, onPort(options(nil), 35231+10*len(f.tasks)))
	register(t, f.balancer, task)
	f.tasks = append(f.tasks, task)
}

// replace does what a rotation does with a task. A new task starts first. Then the old one is
// deregistered, its connections have the deregistration delay, and it gets SIGTERM.
func (f *fleet) replace(t *testing.T, old *squidTask) {
	t.Helper()
	f.add(t)
	must.OK(t, f.balancer.Deregister(taskID(old)))
	await(t, f.balancer, old, nlb.Unused)
	must.OK(t, old.Signal(syscall.SIGTERM))
	if code := old.Wait(t, 20*time.Second); code != 0 {
		t.Errorf("the old task ended with %d\n%s", code, old.Errors())
	}
}

func taskID(task *squidTask) string { return task.Addr.String() }

// hop starts a load balancer whose clients all seem to have the same address, and returns the
// host:port it listens on.
func hop(t *testing.T, as netip.Addr, tasks ...*squidTask) (*nlb.Balancer, string) {
	t.Helper()
	c := nlb.Defaults()
	c.Nodes[0], c.RoundRobin = loadBalancer, true
	c.HealthCheck.Interval, c.HealthCheck.HealthyThreshold = 20*time.Millisecond, 2
	c.DeregistrationDelay = time.Second
	c.ClientAddr = func(net.Conn) netip.AddrPort { return netip.AddrPortFrom(as, 40000) }
	balancer := nlb.New(c)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := balancer.Serve(listener); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		balancer.Close()
		<-served
	})
	for _, task := range tasks {
		register(t, balancer, task)
	}
	return balancer, listener.Addr().String()
}

func register(t *testing.T, balancer *nlb.Balancer, task *squidTask) {
	t.Helper()
	must.OK(t, balancer.Register(nlb.Target{ID: taskID(task), Addr: task.Addr}))
	await(t, balancer, task, nlb.Healthy)
}

func await(t *testing.T, balancer *nlb.Balancer, task *squidTask, state nlb.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := balancer.WaitState(ctx, taskID(task), state); err != nil {
		t.Fatalf("task %s: %v", taskID(task), err)
	}
}
