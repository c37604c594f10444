package integration

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/nlb"
	"squidfleet/internal/rig"
)

// fleet is tasks with the same keys behind a load balancer that takes them in turn, connection by connection.
type fleet struct {
	// proxy is where clients connect, as host:port.
	proxy    string
	balancer *nlb.Balancer
	digest   string
	tasks    []*rig.Task // in service, the oldest first
	all      []*rig.Task // these, and those that were replaced
}

// startFleet starts a fleet whose clients all have the same address.
func startFleet(t *testing.T, digest string, tasks int) *fleet {
	t.Helper()
	f := &fleet{digest: digest}
	f.balancer, f.proxy = hop(t, insider)
	for range tasks {
		f.add(t)
		if digest == "squid" {
			// Squid 5.7's own nonces are made of the second and of a random sequence that depends on the second of the first challenge alone (src/auth/digest/Config.cc; 6 has a better seed): tasks that begin
			// to challenge together hand out the same ones.
			anonymous := client(f.tasks[len(f.tasks)-1])
			anonymous.User = ""
			anonymous.Request("GET", "http://origin.example/")
			time.Sleep(1100 * time.Millisecond)
		}
	}
	return f
}

func taskID(task *rig.Task) string { return task.Addr.String() }

// add starts a task and returns when the load balancer sends to it.
func (f *fleet) add(t *testing.T) {
	t.Helper()
	task := rig.StartTask(t, onPort(options(map[string]any{"digest": f.digest}), 35231+10*len(f.all)))
	f.all = append(f.all, task)
	register(t, f.balancer, task)
	f.tasks = append(f.tasks, task)
}

// replace does what a rotation does with the oldest task: a new one first, then the old one is deregistered, its connections have the deregistration delay, and it is told to stop.
func (f *fleet) replace(t *testing.T) {
	t.Helper()
	f.add(t)
	old := f.tasks[0]
	f.tasks = f.tasks[1:]
	if err := f.balancer.Deregister(taskID(old)); err != nil {
		t.Fatal(err)
	}
	await(t, f.balancer, old, nlb.Unused)
	if err := old.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := old.Wait(t, 20*time.Second); code != 0 {
		t.Errorf("the old task ended with %d\n%s", code, old.Errors())
	}
}

// challenged counts the requests that any of the tasks answered with a challenge.
func (f *fleet) challenged() (n int) {
	for _, task := range f.all {
		for _, line := range task.Log() {
			if strings.Contains(line, `"status":407,`) {
				n++
			}
		}
	}
	return n
}

// hop starts a load balancer that tells the tasks of clients at one address, and returns where it listens.
func hop(t *testing.T, as netip.Addr, tasks ...*rig.Task) (*nlb.Balancer, string) {
	t.Helper()
	c := nlb.Defaults()
	c.Zones[0].Node, c.RoundRobin = loadBalancer, true
	c.HealthCheck.Interval, c.HealthCheck.HealthyThreshold = 20*time.Millisecond, 2
	c.DeregistrationDelay = 2 * time.Second
	c.ClientAddr = func(net.Conn) netip.AddrPort { return netip.AddrPortFrom(as, 40000) }
	balancer := nlb.New(c)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
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

func register(t *testing.T, balancer *nlb.Balancer, task *rig.Task) {
	t.Helper()
	if err := balancer.Register(nlb.Target{ID: taskID(task), Addr: task.Addr}); err != nil {
		t.Fatal(err)
	}
	await(t, balancer, task, nlb.Healthy)
}

func await(t *testing.T, balancer *nlb.Balancer, task *rig.Task, state nlb.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := balancer.WaitState(ctx, taskID(task), state); err != nil {
		t.Fatal(fmt.Errorf("task %s: %w", taskID(task), err))
	}
}
