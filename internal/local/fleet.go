package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	// Endpoint is the common port, where clients get any address.
	Endpoint netip.AddrPort

	// CA is the file of the CA's certificate with Options.TLS. It goes with Close.
	CA string

	o         Options
	p         *params.Params // Options.Params for this machine
	network   proxyimage.Network
	squid     string
	user      *owner
	dir       string
	lock      *os.File // on dir
	digestKey string
	listeners []net.Listener // see listen
	common    *nlb.Balancer  // of Endpoint
	services  []*service     // in the order of their numbers
	broken    chan error

	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	group     sync.WaitGroup
	reporting sync.Mutex

	mu          sync.Mutex
	tasks       []*task // in the order of their start
	made        int     // tasks so far
	nextAddress netip.Addr
	every       time.Duration // of the schedule; 0 without one
	scheduled   time.Time     // when its first period began
}

// Start stages the files once, starts a task for each address and returns when all are in service.
// On an error nothing is left running; otherwise Close must be called. If ctx ends meanwhile, Start
// gives up and returns its error, unless something is left.
func Start(ctx context.Context, o Options) (_ *Fleet, err error) {
	if err := supported(); err != nil {
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
	f.user = taskUser(os.Geteuid(), os.Getenv)
	f.Endpoint = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(o.Port))
	if err := f.listen(); err != nil {
		return nil, err
	}
	if err := f.stage(ctx); err != nil {
		return nil, err
	}
	if err := f.balance(); err != nil {
		return nil, err
	}
	errs := make([]error, len(f.services))
	var group sync.WaitGroup
	for i, s := range f.services {
		group.Go(func() {
			s.deploying.Lock()
			defer s.deploying.Unlock()
			_, errs[i] = f.launch(ctx, s)
		})
	}
	group.Wait()
	return f, errors.Join(errs...)
}

// EndpointOf is the port of an address.
func (f *Fleet) EndpointOf(number int) netip.AddrPort {
	return netip.AddrPortFrom(f.Endpoint.Addr(), f.Endpoint.Port()+uint16(number))
}

// listen opens the clients' ports first of all: they are what is in use most often. The first one
// is the common port, the others are those of the addresses.
func (f *Fleet) listen() error {
	for number := range f.o.Addresses + 1 {
		l, err := net.Listen("tcp4", f.EndpointOf(number).String())
		if err != nil {
			return explainPort(err)
		}
		f.listeners = append(f.listeners, l)
	}
	return nil
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

// balance starts the load balancer as the stack describes it: every listener has a target group of
// its own.
func (f *Fleet) balance() (err error) {
	c := nlb.Defaults()
	c.Nodes = nil
	for zone := range f.o.Zones {
		c.Nodes = append(c.Nodes, node(zone))
	}
	c.HealthCheck = f.o.Timing.HealthCheck
	c.IdleTimeout = f.p.IdleTimeout // as Squid's limits, which are not divided
	c.DeregistrationDelay = f.o.Timing.DeregistrationDelay
	c.DeregistrationLag = f.o.Timing.DeregistrationLag
	if f.o.TLS {
		f.CA = filepath.Join(f.dir, "ca.pem")
		c.IdleTimeout = nlb.TLSIdleTimeout
		if c.TLS, err = makeCertificate(f.CA, f.Endpoint.Addr()); err != nil {
			return err
		}
	}
	client := clientAddress(f.p.ClientCidrs)
	c.ClientAddr = func(conn net.Conn) netip.AddrPort {
		return netip.AddrPortFrom(client, conn.RemoteAddr().(*net.TCPAddr).AddrPort().Port())
	}
	serve := func(l net.Listener) *nlb.Balancer {
		b := nlb.New(c)
		f.group.Go(func() {
			if err := b.Serve(l); err != nil {
				f.fail(err)
			}
		})
		return b
	}
	f.common = serve(f.listeners[0])
	for i, l := range f.listeners[1:] {
		number := i + 1
		f.services = append(f.services,
			&service{number: number, port: int(f.EndpointOf(number).Port()), listener: serve(l)})
	}
	return nil
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

// Broken delivers an error when the load balancer accepts no connections any longer.
func (f *Fleet) Broken() <-chan error { return f.broken }

// Targets returns the view of the common target group and of an address's own. Tasks that are gone
// are there as long as the group remembers them.
func (f *Fleet) Targets(number int) (common, own []nlb.TargetHealth) {
	return f.common.Targets(), f.services[number-1].listener.Targets()
}

// status is the task as others see it. Fleet.mu is held.
func (f *Fleet) status(t *task) TaskStatus {
	s := t.TaskStatus
	s.Health, s.Requests = nlb.Unused, t.requests.lines.Load()
	common, own := f.Targets(t.service.number)
	for _, target := range common {
		if target.ID == t.ID {
			s.Health, s.Open = target.State, target.Open
		}
	}
	for _, target := range own {
		if target.ID == t.ID {
			s.Open += target.Open
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
	tasks := slices.Clone(f.tasks)
	f.mu.Unlock()
	if f.common != nil {
		f.common.Close()
	}
	for _, s := range f.services {
		s.listener.Close()
	}
	for _, l := range f.listeners { // of a fleet that did not start nobody has closed them
		l.Close()
	}
	patience, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	tasks = slices.DeleteFunc(tasks, func(t *task) bool { return t.command == nil })
	for _, t := range tasks {
		t.signal(syscall.SIGINT)
	}
	for _, t := range tasks {
		select {
		case <-t.running.Done():
		case <-patience.Done():
			f.kill(t)
		}
	}
	f.group.Wait()
	if f.dir == "" {
		return nil
	}
	defer f.lock.Close()
	if err := os.RemoveAll(f.dir); err != nil {
		return fmt.Errorf("remove the fleet's files: %w", err)
	}
	return nil
}
