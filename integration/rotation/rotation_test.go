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
	"squidfleet/internal/must"
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
	parameters   = parse(map[string]any{"users": "alice"})
	timing       = local.AWS(parameters).Faster(speed)
	drainTimeout = parameters.DrainTimeout / speed
)

func parse(values map[string]any) *params.Params {
	p, err := params.Parse(values)
	if err != nil {
		panic(err)
	}
	return p
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
	must.OK(t, err)
	password := rand.Text()
	o := local.Options{
		Params: parameters, Passwords: []squid.Credential{{User: "alice", Password: password}},
		Addresses: addresses, Zones: zones, Port: parameters.ListenerPort, Timing: timing, Origin: origin.Address,
	}
	if change != nil {
		change(&o)
	}
	l, besides := newLedger(o.Timing, drainTimeout), o.Report
	o.Report = func(e local.Event) {
		t.Log(e.Time.Format("05.000"), e)
		l.report(e)
		if besides != nil {
			besides(e)
		}
	}
	t.Cleanup(func() { must.OK(t, origin.Close()) })
	f, err := local.Start(t.Context(), o)
	must.OK(t, err)
	t.Cleanup(func() { must.OK(t, f.Close()) })
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
	must.OK(t, errors.Join(errs...))
	return slices.Concat(of...)
}

// The reasons for which a new connection may fail.
const (
	byInterruption = "sent to the interrupted task after its end"
	byKill         = "sent to the killed task"
	byStop         = "refused by the stopped address"
)

// interrupt does what a Spot interruption does: the load balancer and the task learn of it at the
// same time. The load balancer's lag is longer than the 110 s that a task can serve on, of the 120
// s that Fargate leaves it. What is sent to it in between is lost, whatever the task does.
func interrupt(t testing.TB, f *local.Fleet, l *ledger, number int) (victim local.TaskStatus, at time.Time) {
	t.Helper()
	victim, at = serving(t, f, number), time.Now()
	must.OK(t, f.Interrupt(number))
	end := at.Add(timing.TaskDrain)
	time.Sleep(time.Until(end.Add(-lateness)))
	before := targets(t, f, number, victim.ID)
	forgotten := at.Add(timing.DeregistrationLag + lateness)
	time.Sleep(time.Until(forgotten))
	for port, after := range targets(t, f, number, victim.ID) {
		l.forgive(excuse{end, forgotten, port, byInterruption, uint64(before[port].Open) + after.ConnectFailures})
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
	at := time.Now()
	l.note(func() { l.endings[victim.Address] = ending{mayCutFrom: at, killed: true} })
	must.OK(t, f.Kill(number))
	noticed := at.Add(unnoticed(timing))
	time.Sleep(time.Until(noticed))
	most := uint64(before[anyAddress].Open) + targets(t, f, number, victim.ID)[anyAddress].ConnectFailures
	l.forgive(excuse{at, noticed, anyAddress, byKill, most})
	waitReplaced(t, f, number, victim.ID)
	l.forgive(excuse{at, time.Now(), number, byKill, noLimit})
}

// stop stops an address and starts it again. Its port leads to the task until the load balancer has
// forgotten that, and refuses connections afterwards.
func stop(t testing.TB, f *local.Fleet, l *ledger, number int) {
	at := time.Now()
	err := f.Stop(number)
	refuses := at.Add(timing.DeregistrationLag)
	late := l.which(func(v visit) bool { return v.number == number && v.opened.After(refuses.Add(lateness)) })
	if len(late) > 0 {
		t.Errorf("the port of a stopped address led to it %d times", len(late))
	}
	if err := errors.Join(err, f.Start(t.Context(), number)); err != nil {
		t.Error(err)
	}
	l.forgive(excuse{refuses, time.Now(), number, byStop, noLimit})
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
	must.Await(t, "a task instead of "+id, func() bool {
		all := f.Addresses()[number-1].Tasks
		return len(all) == 1 && all[0].ID != id && isServing(all[0])
	})
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
	o := outcome{l, l.sort(), done}
	t.Log("\n" + table([]string{"all"}, o))
	for what, detail := range o.problems(3) {
		t.Error(what, detail)
	}
	for _, what := range []string{cutLate, died, byKill, byStop} {
		if len(o.lost[what]) == 0 {
			t.Errorf("there is none of this, so nothing is shown: %s", what)
		}
	}
	for _, own := range []bool{false, true} {
		_, last := l.visited(interrupted.Address, own)
		t.Logf("the interrupted task served its last new connection %v after SIGTERM, at its own port %v",
			last.Sub(at).Round(time.Millisecond), own)
		if last.Sub(at) < timing.TaskDrain*3/4 {
			t.Errorf("want almost %v", timing.TaskDrain)
		}
	}
	return o
}

// hastyTimes are enough to see it.
const hastyTimes = 2

func TestATaskServesOnAfterSIGTERMUntilTheLoadBalancerHasForgottenIt(t *testing.T) { hastyRotations(t) }

// hastyRotations judges what this fleet does when its tasks get SIGTERM too early.
func hastyRotations(t testing.TB) outcome {
	o := rotateHastily(t, nil)
	for what, detail := range o.problems(0) {
		t.Error(what, detail)
	}
	return o
}

// rotateHastily rotates all addresses at once, of a fleet whose tasks get SIGTERM long before the
// load balancer has forgotten them: as if its lag were longer than anybody saw, or ECS did not wait
// for it. Then the entrypoint serves on.
func rotateHastily(t testing.TB, change func(*local.Options)) outcome {
	f, l, newClient := fleet(t, func(o *local.Options) {
		o.Timing.StopDelay = timing.DeregistrationLag / 2
		if change != nil {
			change(o)
		}
	})
	endLoad := load(newClient)
	var done []local.Rotation
	for range hastyTimes {
		rotated, err := f.Rotate(t.Context())
		must.OK(t, err)
		done = append(done, rotated...)
	}
	endLoad()
	o := outcome{l, l.sort(), done}
	t.Log("\n" + table([]string{"all"}, o))
	return o
}

// outcome is what a run showed.
type outcome struct {
	*ledger
	lost map[string][]loss
	done []local.Rotation
}

// What problems are about, besides the losses that break a promise. The first two are promises as
// well, the others are what a run must show to prove anything.
const (
	ledAstray = "connections at an address's own port that led to another address"
	lagServed = "new connections to an old task, for as long as the load balancer sends them"
	allSeen   = "egress addresses that no client saw"
	allTurned = "tasks that were replaced"
	allBusy   = "clients at work"
)

// problems are what the tests promise and a run of some rotations did not show, after which so many
// tasks were replaced one by one.
func (o outcome) problems(single int) map[string]string {
	all := map[string]string{}
	find := func(what, format string, args ...any) { all[what] += fmt.Sprintf("\n"+format, args...) }
	for _, what := range []string{failedNew, failedOwn, cutEarly} {
		if lost := o.lost[what]; len(lost) > 0 {
			find(what, "%d, want 0: %+v", len(lost), lost[:min(len(lost), 5)])
		}
	}
	if astray := o.astray(); len(astray) > 0 {
		find(ledAstray, "%d, want 0: %+v", len(astray), astray[0])
	}
	for _, r := range o.done {
		for _, own := range []bool{false, true} {
			// Without the lag there would be none, and nothing to promise.
			_, last := o.visited(r.Old, own)
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
	if unseen := o.unseen(); len(unseen) > 0 {
		find(allSeen, "%v, want none", unseen)
	}
	for _, h := range habits {
		made := len(o.which(func(v visit) bool { return v.habit == h.name }))
		uses, clients, times := o.uses[h.name], h.common+h.own*addresses, len(o.done)/addresses
		if made < clients*times/2 || uses < clients*times {
			find(allBusy, "%s: %d connections and %d uses of %d clients in %d rotations of each address", h.name, made,
				uses, clients, times)
		}
	}
	return all
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
		common := len(o.which(func(v visit) bool { return v.number == anyAddress }))
		return []any{common, len(o.visits) - common}
	})
	lost := func(whats ...string) func(outcome) []any {
		return func(o outcome) (counts []any) {
			for _, what := range whats {
				counts = append(counts, len(o.lost[what]))
			}
			return counts
		}
	}
	row("new connections that failed at them", "**%d**, **%d**", lost(failedNew, failedOwn))
	row("connections at an address's port that led to another address", "**%d**", func(o outcome) []any {
		return []any{len(o.astray())}
	})
	row(cutEarly, "**%d**", lost(cutEarly))
	row("connections cut after it", "%d", lost(cutLate))
	row("egress addresses in service, not seen at one of their two ports", "%d, **%d**", func(o outcome) []any {
		return []any{len(o.inUse), len(o.unseen())}
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
			first, _ := o.visited(r.New, own)
			return first.Sub(r.Began)
		}))
	row("from the old task's deregistration to its last new connection", "%.1f to %.1f s",
		spreads(func(o outcome, r local.Rotation, own bool) time.Duration {
			_, last := o.visited(r.Old, own)
			return last.Sub(r.Serving)
		}))
	row("from a rotation's begin to the old task's end", "%.1f to %.1f s",
		spreads(func(_ outcome, r local.Rotation, _ bool) time.Duration { return r.Ended.Sub(r.Began) }))
	row("counted apart: connections that died with the killed task, new ones that failed until it was replaced",
		"%d, %d", lost(died, byKill))
	row("new ones to the interrupted task after its end, to the stopped address", "%d, %d",
		lost(byInterruption, byStop))
	return b.String()
}
