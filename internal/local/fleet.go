package local

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"squidfleet/internal/nlb"
	"squidfleet/params"
	"squidfleet/proxyimage"
	"squidfleet/proxyimage/container"
)

// Fleet is a fleet on this machine. Its methods may be called from several goroutines at once.
type Fleet struct {
	// Endpoint is where clients connect.
	Endpoint netip.AddrPort

	o         Options
	p         *params.Params // Options.Params for this machine
	network   proxyimage.Network
	squid     string
	user      *owner
	dir       string
	lock      *os.File // on dir
	digestKey string
	balancer  *nlb.Balancer
	broken    chan error

	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	group     sync.WaitGroup
	deploying sync.Mutex // held while tasks are started
	reporting sync.Mutex

	mu          sync.Mutex
	tasks       []*task // in the order of their numbers
	number      int
	nextAddress netip.Addr
}

// Start stages the files once, starts the tasks and returns when all of them are in service. On an
// error nothing is left running; otherwise Close must be called. If ctx ends meanwhile, Start gives
// up and returns its error, unless something is left.
func Start(ctx context.Context, o Options) (_ *Fleet, err error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	// All tasks share a key for the nonces, as Secrets Manager would generate it.
	f := &Fleet{o: o, digestKey: rand.Text() + rand.Text(), nextAddress: firstTask, broken: make(chan error, 1)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	defer func() {
		if err == nil {
			return
		}
		// The caller that gave up knows why it failed, but not what could not be cleared up.
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if left := f.Close(); left != nil {
			err = fmt.Errorf("%v; and besides: %w", err, left)
		}
	}()
	if f.squid, err = findSquid(container.SquidPath); err != nil {
		return nil, err
	}
	if f.user, err = taskUser(os.Geteuid(), os.LookupEnv); err != nil {
		return nil, err
	}
	listener, err := f.listen()
	if err != nil {
		return nil, err
	}
	if err := f.stage(ctx); err != nil {
		listener.Close()
		return nil, err
	}
	f.balance(listener)
	f.deploying.Lock()
	defer f.deploying.Unlock()
	_, err = f.launchAll(ctx, o.Tasks)
	return f, err
}

// listen opens the clients' port first of all: it is what is in use most often.
func (f *Fleet) listen() (net.Listener, error) {
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(f.o.Port))
	l, err := net.Listen("tcp4", address.String())
	if err != nil {
		return nil, explainPort(err)
	}
	f.Endpoint = l.Addr().(*net.TCPAddr).AddrPort()
	return l, nil
}

func (f *Fleet) staged() string { return filepath.Join(f.dir, "image") }

// stage writes what goes into the image, for this machine's processor.
func (f *Fleet) stage(ctx context.Context) error {
	here := *f.o.Params
	here.Architecture = params.X8664
	if runtime.GOARCH == "arm64" {
		here.Architecture = params.ARM64
	}
	f.p = &here
	if here.VpcCidr.IsValid() {
		f.network.VpcCidrs = []netip.Prefix{here.VpcCidr}
	}
	for zone := range f.o.Zones {
		f.network.LoadBalancerCidrs = append(f.network.LoadBalancerCidrs, netip.PrefixFrom(node(zone), 32))
	}
	passwords := f.o.Passwords
	if here.Credentials != container.CredentialsImage {
		passwords = nil
	}
	sweep(os.Geteuid())
	var err error
	if f.dir, f.lock, err = makeDir(); err != nil {
		return err
	}
	if err := os.Chmod(f.dir, 0o755); err != nil { // The tasks' user may be another one.
		return err
	}
	if err := proxyimage.Stage(ctx, f.staged(), f.p, f.network, passwords); err != nil {
		return err
	}
	if passwords != nil {
		return f.user.give(filepath.Join(f.staged(), container.Passwords))
	}
	return nil
}

// balance starts the load balancer as stacks/loadbalancer.go describes it.
func (f *Fleet) balance(listener net.Listener) {
	c := nlb.Defaults()
	c.Zones = nil
	for zone := range f.o.Zones {
		c.Zones = append(c.Zones, nlb.Zone{Name: zoneName(zone), Node: node(zone)})
	}
	c.HealthCheck = f.o.Timing.HealthCheck
	c.KeepUnhealthy = true
	c.IdleTimeout = f.p.IdleTimeout // as Squid's limits, which are not divided
	c.DeregistrationDelay = f.o.Timing.DeregistrationDelay
	c.DeregistrationLag = f.o.Timing.DeregistrationLag
	client := clientAddress(f.p.ClientCidrs)
	c.ClientAddr = func(conn net.Conn) netip.AddrPort {
		return netip.AddrPortFrom(client, conn.RemoteAddr().(*net.TCPAddr).AddrPort().Port())
	}
	f.balancer = nlb.New(c)
	f.group.Go(func() {
		if err := f.balancer.Serve(listener); err != nil {
			f.fail(err)
		}
	})
}

// clientAddress returns the address that all clients have: the first allowed host's.
func clientAddress(allowed []netip.Prefix) netip.Addr {
	first := allowed[0]
	for _, p := range allowed {
		if p.Addr().Is4() {
			first = p
			break
		}
	}
	if next := first.Addr().Next(); first.Contains(next) {
		return next
	}
	return first.Addr()
}

// fail reports that the fleet cannot go on. Only the first time counts.
func (f *Fleet) fail(err error) {
	select {
	case f.broken <- err:
	default:
	}
}

// Broken delivers an error when the fleet cannot be kept in service any longer.
func (f *Fleet) Broken() <-chan error { return f.broken }

// Tasks returns the tasks that exist, in the order of their start.
func (f *Fleet) Tasks() []TaskStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]TaskStatus, len(f.tasks))
	for i, t := range f.tasks {
		all[i] = f.status(t)
	}
	return all
}

// Targets returns the load balancer's view, with tasks that are gone as long as it remembers them.
func (f *Fleet) Targets() []nlb.TargetHealth { return f.balancer.Targets() }

// status is the task as others see it. Fleet.mu is held.
func (f *Fleet) status(t *task) TaskStatus {
	s := TaskStatus{
		ID: t.id, Address: t.address, Zone: t.zone, Phase: t.phase, Started: t.started, Health: nlb.Unused,
		Requests: t.requests.lines.Load(),
	}
	for _, target := range f.balancer.Targets() {
		if target.ID == t.id {
			s.Health, s.Open = target.State, target.Open
		}
	}
	return s
}

// closeGrace is how long a task may take to stop at once.
const closeGrace = container.StopGrace + container.LogGrace + time.Second

// Close ends everything: clients' connections, tasks, files. It may be called twice.
func (f *Fleet) Close() error {
	f.mu.Lock()
	f.cancel()
	tasks := append([]*task(nil), f.tasks...)
	f.mu.Unlock()
	if f.balancer != nil {
		f.balancer.Close()
	}
	patience, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	for _, t := range tasks {
		if t.command != nil {
			t.signal(syscall.SIGINT)
		}
	}
	for _, t := range tasks {
		if t.command == nil {
			continue
		}
		select {
		case <-t.exited:
		case <-patience.Done():
			f.report(Killed, t, "")
			killGroup(t.command.Process.Pid)
			<-t.exited
		}
	}
	f.group.Wait()
	if f.dir == "" {
		return nil
	}
	if f.lock != nil {
		defer f.lock.Close()
	}
	if err := os.RemoveAll(f.dir); err != nil {
		return fmt.Errorf("remove the fleet's files: %w", err)
	}
	return nil
}
