package rotation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/internal/nlb"
	"squidfleet/internal/rig"
	"squidfleet/params"
	"squidfleet/squid"
)

// speed divides all of AWS's times, so that their ratios stay: the load balancer's lag and the
// drainTimeout, two minutes each, are 4 s, the deregistration delay is their sum, and health
// checks come every sixth of a second instead of every 5 s.
const speed = 30

var (
	parameters   = must(params.Parse(map[string]any{"users": "alice"}))
	timing       = local.AWS(parameters).Faster(speed)
	drainTimeout = parameters.DrainTimeout / speed
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

const (
	addresses  = 3
	zones      = 2
	perAddress = 10 // rotations
	// period is how far the rotations of an address are apart, about: each takes so long.
	period = 10 * time.Second
)

// fleet starts a fleet of its own for a test, whose events the ledger follows. It also returns how
// to make a client of an address's port, or of the common one.
func fleet(t testing.TB, change func(*local.Options)) (*local.Fleet, *ledger, func(number int) client) {
	t.Helper()
	origin, err := local.StartOrigin(origin(drainTimeout * 8 / 10))
	if err != nil {
		t.Fatal(err)
	}
	password := rand.Text()
	o := local.Options{
		Params: parameters, Passwords: []squid.Credential{{User: "alice", Password: password}},
		Addresses: addresses, Zones: zones, Port: parameters.ListenerPort, Timing: timing, Origin: origin.Address,
	}
	if change != nil {
		change(&o)
	}
	l := newLedger(o.Timing, drainTimeout)
	o.Report = func(e local.Event) {
		t.Log(e.Time.Format("05.000"), e)
		l.report(e)
	}
	f, err := local.Start(t.Context(), o)
	if err != nil {
		origin.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := origin.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, l, func(number int) client {
		return client{
			number: number, proxy: rig.Client{Task: f.EndpointOf(number), User: "alice", Password: password},
			origin: origin.Address.String(), ledger: l,
		}
	}
}

// load starts all clients and returns how to stop them.
func load(newClient func(number int) client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, h := range habits {
		for range h.common {
			group.Go(func() { newClient(anyAddress).live(ctx, h.habit) })
		}
		for number := 1; number <= addresses; number++ {
			for range h.own {
				group.Go(func() { newClient(number).live(ctx, h.habit) })
			}
		}
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// serving is the task in service of an address.
func serving(t testing.TB, f *local.Fleet, number int) local.TaskStatus {
	t.Helper()
	all := f.Addresses()[number-1].Tasks
	at := slices.IndexFunc(all, isServing)
	if at < 0 {
		t.Fatalf("address %d has no task in service", number)
	}
	return all[at]
}

func isServing(task local.TaskStatus) bool { return task.Phase == local.PhaseServing }

// rotate rotates each address again and again, at its own offset as the stack's schedules do.
func rotate(t testing.TB, f *local.Fleet, times int) (done []local.Rotation) {
	t.Helper()
	of, errs := make([][]local.Rotation, addresses), make([]error, addresses)
	var group sync.WaitGroup
	for i := range addresses {
		group.Go(func() {
			time.Sleep(params.RotationOffset(i+1, period))
			for range times {
				rotated, err := f.Rotate(t.Context(), i+1)
				if errs[i] = err; err != nil {
					return
				}
				of[i] = append(of[i], rotated...)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return slices.Concat(of...)
}

// The reasons for which a new connection may fail.
const (
	byInterruption = "interrupted"
	byKill         = "killed"
	byStop         = "stopped"
)

// interrupt does what a Spot interruption does: the load balancer and the task learn of it at the
// same time. The load balancer's lag is longer than the 110 s that a task can serve on, of the 120
// s that Fargate leaves it. What is sent to it in between is lost, whatever the task does.
func interrupt(t testing.TB, f *local.Fleet, l *ledger, number int) (victim local.TaskStatus, at time.Time) {
	t.Helper()
	victim, at = serving(t, f, number), time.Now()
	if err := f.Interrupt(number); err != nil {
		t.Fatal(err)
	}
	end := at.Add(timing.TaskDrain)
	time.Sleep(time.Until(end.Add(-lateness)))
	before := targets(t, f, number, victim.ID)
	forgotten := at.Add(timing.DeregistrationLag + lateness)
	time.Sleep(time.Until(forgotten))
	for port, after := range targets(t, f, number, victim.ID) {
		most := uint64(before[port].Open) + after.ConnectFailures
		l.excuse(excuse{end, forgotten, port, byInterruption, most})
	}
	waitReplaced(t, f, number, victim.ID)
	return victim, at
}

// kill does what a machine that fails does. ECS makes the load balancer forget its task at once,
// but because of the lag only the health checks make it stop sending new connections there. The
// address's own port has no other task until that is replaced.
func kill(t testing.TB, f *local.Fleet, l *ledger, number int) {
	t.Helper()
	victim := serving(t, f, number)
	before := targets(t, f, number, victim.ID)
	l.killed(victim.Address)
	at := time.Now()
	if err := f.Kill(number); err != nil {
		t.Fatal(err)
	}
	noticed := at.Add(unnoticed(timing))
	time.Sleep(time.Until(noticed))
	most := uint64(before[anyAddress].Open) + targets(t, f, number, victim.ID)[anyAddress].ConnectFailures
	l.excuse(excuse{at, noticed, anyAddress, byKill, most})
	waitReplaced(t, f, number, victim.ID)
	l.excuse(excuse{at, time.Now(), number, byKill, noLimit})
}

// stop stops an address and starts it again. Its port leads to the task until the load balancer has
// forgotten that, and refuses connections afterwards.
func stop(t testing.TB, f *local.Fleet, l *ledger, number int) {
	at := time.Now()
	err := f.Stop(number)
	refuses := at.Add(timing.DeregistrationLag)
	if n := l.visitsOf(number, refuses.Add(lateness), time.Now()); n > 0 {
		t.Errorf("the port of a stopped address led to it %d times", n)
	}
	if err := errors.Join(err, f.Start(t.Context(), number)); err != nil {
		t.Error(err)
	}
	l.excuse(excuse{refuses, time.Now(), number, byStop, noLimit})
}

// targets is the load balancer's view of an address's task, of its common group and its own. They
// are at anyAddress and at the address's number.
func targets(t testing.TB, f *local.Fleet, number int, id string) map[int]nlb.TargetHealth {
	t.Helper()
	common, own := f.Targets(number)
	found := map[int]nlb.TargetHealth{}
	for port, group := range map[int][]nlb.TargetHealth{anyAddress: common, number: own} {
		at := slices.IndexFunc(group, func(h nlb.TargetHealth) bool { return h.ID == id })
		if at < 0 {
			t.Fatalf("the load balancer has forgotten %s", id)
		}
		found[port] = group[at]
	}
	return found
}

// unnoticed is how long the load balancer takes at most to find out that a task is gone.
func unnoticed(timing local.Timing) time.Duration {
	h := timing.HealthCheck
	return time.Duration(h.UnhealthyThreshold) * (h.Interval + h.Timeout)
}

// waitReplaced waits until an address has one task, in service, and it is another one.
func waitReplaced(t testing.TB, f *local.Fleet, number int, id string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		all := f.Addresses()[number-1].Tasks
		if len(all) == 1 && all[0].ID != id && isServing(all[0]) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not replaced after a minute: %+v", id, all)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestRotationLosesNothing(t *testing.T) { rotations(t) }

// rotations rotates each address many times, and has one interrupted, one killed and one stopped.
func rotations(t testing.TB) outcome {
	f, l, newClient := fleet(t, nil)
	endLoad := load(newClient)
	done := rotate(t, f, perAddress)
	var group sync.WaitGroup
	group.Go(func() { stop(t, f, l, 3) })
	interrupted, at := interrupt(t, f, l, 1)
	kill(t, f, l, 2)
	group.Wait()
	time.Sleep(drainTimeout) // The new tasks are seen at both ports.
	endLoad()
	o := outcome{l, l.judge(), done}
	t.Log("\n" + table([]string{"all"}, o))
	for _, p := range o.problems(3) {
		t.Error(p)
	}
	if o.cutLate == 0 {
		t.Error("no endless connection was cut when the drain time was over")
	}
	if o.byKill == 0 || o.excused[byKill] == 0 {
		t.Errorf("connections that died with the killed task: %d, that were sent there afterwards: %d; "+
			"want some of both",
			o.byKill, o.excused[byKill])
	}
	if o.excused[byStop] == 0 {
		t.Error("no connection to a stopped address was refused")
	}
	for _, own := range []bool{false, true} {
		_, last := l.visited(sight{interrupted.Address, own})
		t.Logf("the interrupted task served its last new connection %v after SIGTERM, at its own port %v",
			last.Sub(at).Round(time.Millisecond), own)
		if last.Sub(at) < timing.TaskDrain*3/4 {
			t.Errorf("want almost %v", timing.TaskDrain)
		}
	}
	return o
}

// hasty sends SIGTERM long before the load balancer has forgotten the old tasks: as if its lag
// were longer than anybody saw, or ECS did not wait for it. Then the entrypoint serves on.
func hasty() local.Timing {
	hasty := timing
	hasty.StopDelay = timing.DeregistrationLag / 2
	return hasty
}

// hastyTimes are enough to see it.
const hastyTimes = 2

func TestATaskServesOnAfterSIGTERMUntilTheLoadBalancerHasForgottenIt(t *testing.T) { hastyRotations(t) }

// hastyRotations judges what this fleet does when its tasks get SIGTERM too early.
func hastyRotations(t testing.TB) outcome {
	o := rotateHastily(t, nil)
	for _, p := range o.problems(0) {
		t.Error(p)
	}
	return o
}

// rotateHastily rotates all addresses at once, of a fleet whose tasks get SIGTERM too early.
func rotateHastily(t testing.TB, change func(*local.Options)) outcome {
	f, l, newClient := fleet(t, func(o *local.Options) {
		o.Timing = hasty()
		if change != nil {
			change(o)
		}
	})
	endLoad := load(newClient)
	var done []local.Rotation
	for range hastyTimes {
		rotated, err := f.Rotate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, rotated...)
	}
	endLoad()
	o := outcome{l, l.judge(), done}
	t.Log("\n" + table([]string{"all"}, o))
	return o
}

// outcome is what a run showed.
type outcome struct {
	*ledger
	verdict
	done []local.Rotation
}

// problem is something that the tests promise and a run did not show.
type problem struct{ what, detail string }

func (p problem) String() string { return p.what + ": " + p.detail }

// What problems are about. The first five are the promises, the others are what a run must show to
// prove anything.
const (
	failedNew = "new connections at the common port that failed"
	failedOwn = "new connections at an address's own port that failed"
	ledAstray = "connections at an address's own port that led to another address"
	cutEarly  = "connections cut before the drain time was over"
	lagServed = "new connections to an old task, for as long as the load balancer sends them"
	allSeen   = "egress addresses that no client saw"
	allTurned = "tasks that were replaced"
	allBusy   = "clients at work"
)

// problems judges a run of some rotations, after which so many tasks were replaced one by one.
func (o outcome) problems(single int) (all []problem) {
	find := func(what, format string, args ...any) {
		all = append(all, problem{what, fmt.Sprintf(format, args...)})
	}
	if n := len(o.failedNew); n > 0 {
		find(failedNew, "%d, want 0: %s", n, some(o.failedNew))
	}
	if n := len(o.failedOwn); n > 0 {
		find(failedOwn, "%d, want 0: %s", n, some(o.failedOwn))
	}
	if n := len(o.astray); n > 0 {
		find(ledAstray, "%d, want 0: %s", n, o.astray[0])
	}
	if n := len(o.cutEarly); n > 0 {
		find(cutEarly, "%d, want 0: %s", n, some(o.cutEarly))
	}
	for _, r := range o.done {
		for _, own := range []bool{false, true} {
			// Without the lag there would be none, and nothing to promise.
			_, last := o.visited(sight{r.Old, own})
			if after := last.Sub(r.Serving); after < o.timing.DeregistrationLag*5/8 {
				find(lagServed, "address %d, at its own port %v: the last came %v after the old task was "+
					"deregistered, want almost %v", r.Number, own, after.Round(time.Millisecond),
					o.timing.DeregistrationLag)
			}
		}
	}
	if want := len(o.done) + addresses + single; len(o.inUse) != want {
		find(allTurned, "%d were in service in all, want %d", len(o.inUse), want)
	}
	if n := len(o.unseen); n > 0 {
		find(allSeen, "%v, want none", o.unseen)
	}
	for _, h := range habits {
		c, clients, times := o.of(h.name), h.common+h.own*addresses, len(o.done)/addresses
		if c.connections < clients*times/2 || c.uses < clients*times {
			find(allBusy, "%s: %d connections and %d uses of %d clients in %d rotations of each address", h.name,
				c.connections, c.uses, clients, times)
		}
	}
	return all
}

func some(losses []loss) string {
	var lines []string
	for _, l := range losses[:min(len(losses), 5)] {
		lines = append(lines, fmt.Sprintf("\n  port %d %s %s opened %s lost %s: %v", l.number, l.habit, l.egress,
			l.opened.Format("05.000"), l.at.Format("05.000"), l.err))
	}
	return strings.Join(lines, "")
}

// table is what runs showed, a column each, in Markdown. A number in bold is to be 0.
func table(names []string, runs ...outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s |\n|---%s|\n", strings.Join(names, " | "), strings.Repeat("|---", len(runs)))
	row := func(what, format string, of func(outcome) []any) {
		fmt.Fprintf(&b, "| %s |", what)
		for _, o := range runs {
			fmt.Fprintf(&b, " "+format+" |", of(o)...)
		}
		fmt.Fprintln(&b)
	}
	row("rotations of an address", "%d", func(o outcome) []any { return []any{len(o.done)} })
	row("connections made at the common port, at the addresses' own", "%d, %d", func(o outcome) []any {
		common := 0
		for _, v := range o.visits {
			if v.number == anyAddress {
				common++
			}
		}
		return []any{common, len(o.visits) - common}
	})
	row("new connections that failed at them", "**%d**, **%d**", func(o outcome) []any {
		return []any{len(o.failedNew), len(o.failedOwn)}
	})
	row("connections at an address's port that led to another address", "**%d**", func(o outcome) []any {
		return []any{len(o.astray)}
	})
	row("connections cut before the drain time was over", "**%d**", func(o outcome) []any {
		return []any{len(o.cutEarly)}
	})
	row("connections cut after it", "%d", func(o outcome) []any { return []any{o.cutLate} })
	row("egress addresses in service, not seen at one of their two ports", "%d, **%d**", func(o outcome) []any {
		return []any{len(o.inUse), len(o.unseen)}
	})
	spreads := func(of func(outcome, local.Rotation, bool) time.Duration) func(outcome) []any {
		return func(o outcome) []any {
			var all []time.Duration
			for _, r := range o.done {
				all = append(all, of(o, r, false), of(o, r, true))
			}
			return []any{slices.Min(all).Seconds(), slices.Max(all).Seconds()}
		}
	}
	row("from a rotation's begin to the new task's first answer", "%.1f to %.1f s",
		spreads(func(o outcome, r local.Rotation, own bool) time.Duration {
			first, _ := o.visited(sight{r.New, own})
			return first.Sub(r.Began)
		}))
	row("from the old task's deregistration to its last new connection", "%.1f to %.1f s",
		spreads(func(o outcome, r local.Rotation, own bool) time.Duration {
			_, last := o.visited(sight{r.Old, own})
			return last.Sub(r.Serving)
		}))
	row("from a rotation's begin to the old task's end", "%.1f to %.1f s",
		spreads(func(_ outcome, r local.Rotation, _ bool) time.Duration { return r.Ended.Sub(r.Began) }))
	row("counted apart: connections that died with the killed task, new ones that failed until it was replaced",
		"%d, %d", func(o outcome) []any { return []any{o.byKill, o.excused[byKill]} })
	row("new ones to the interrupted task after its end, to the stopped address", "%d, %d", func(o outcome) []any {
		return []any{o.excused[byInterruption], o.excused[byStop]}
	})
	return b.String()
}
