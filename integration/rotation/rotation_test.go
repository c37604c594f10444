package rotation

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
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
// checks come every third of a second instead of every 10 s.
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
	tasks     = 3
	zones     = 2
	rotations = 10
)

// fleet starts a fleet of its own for a test, whose events the ledger follows.
func fleet(t *testing.T, change func(*local.Options)) (*local.Fleet, *ledger, func() client) {
	t.Helper()
	origin, err := local.StartOrigin(origin(drainTimeout * 8 / 10))
	if err != nil {
		t.Fatal(err)
	}
	password := rand.Text()
	o := local.Options{
		Params: parameters, Passwords: []squid.Credential{{User: "alice", Password: password}},
		Tasks: tasks, Zones: zones, Timing: timing, Origin: origin.Address,
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
	return f, l, func() client {
		return client{
			proxy: rig.Client{Task: f.Endpoint, User: "alice", Password: password}, origin: origin.Address.String(),
			ledger: l,
		}
	}
}

// load starts all clients and returns how to stop them.
func load(newClient func() client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, h := range habits {
		for range h.clients {
			group.Go(func() { newClient().live(ctx, h.habit) })
		}
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// serving is a task in service.
func serving(t *testing.T, f *local.Fleet) local.TaskStatus {
	t.Helper()
	all := f.Tasks()
	at := slices.IndexFunc(all, isServing)
	if at < 0 {
		t.Fatal("no task is in service")
	}
	return all[at]
}

func isServing(task local.TaskStatus) bool { return task.Phase == local.PhaseServing }

// rotate rotates a fleet again and again.
func rotate(t *testing.T, f *local.Fleet, times int) (done []local.Rotation) {
	t.Helper()
	for range times {
		r, err := f.Rotate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, r)
	}
	return done
}

// The reasons for which a new connection may fail.
const (
	byInterruption = "interrupted"
	byKill         = "killed"
)

// interrupt does what a Spot interruption does: the load balancer and the task learn of it at the
// same time. The load balancer's lag is longer than the 110 s that a task can serve on, of the 120
// s that Fargate leaves it. What is sent to it in between is lost, whatever the task does.
func interrupt(t *testing.T, f *local.Fleet, l *ledger) (victim local.TaskStatus, at time.Time) {
	t.Helper()
	victim, at = serving(t, f), time.Now()
	if err := f.Interrupt(victim.ID); err != nil {
		t.Fatal(err)
	}
	end := at.Add(timing.TaskDrain)
	time.Sleep(time.Until(end.Add(-lateness)))
	open := target(t, f, victim.ID).Open
	forgotten := at.Add(timing.DeregistrationLag + lateness)
	time.Sleep(time.Until(forgotten))
	l.excuse(excuse{end, forgotten, byInterruption, uint64(open) + target(t, f, victim.ID).ConnectFailures})
	waitReplaced(t, f, victim.ID)
	return victim, at
}

// kill does what a machine that fails does. ECS makes the load balancer forget its task at once,
// but because of the lag only the health checks make it stop sending new connections there.
func kill(t *testing.T, f *local.Fleet, l *ledger) {
	t.Helper()
	victim := serving(t, f)
	open := target(t, f, victim.ID).Open
	l.killed(victim.Address)
	at := time.Now()
	if err := f.Kill(victim.ID); err != nil {
		t.Fatal(err)
	}
	noticed := at.Add(unnoticed(timing))
	time.Sleep(time.Until(noticed))
	l.excuse(excuse{at, noticed, byKill, uint64(open) + target(t, f, victim.ID).ConnectFailures})
	waitReplaced(t, f, victim.ID)
	time.Sleep(drainTimeout)
}

// target is the load balancer's view of a task.
func target(t *testing.T, f *local.Fleet, id string) nlb.TargetHealth {
	t.Helper()
	all := f.Targets()
	at := slices.IndexFunc(all, func(h nlb.TargetHealth) bool { return h.ID == id })
	if at < 0 {
		t.Fatalf("the load balancer has forgotten %s", id)
	}
	return all[at]
}

// unnoticed is how long the load balancer takes at most to find out that a task is gone.
func unnoticed(timing local.Timing) time.Duration {
	h := timing.HealthCheck
	return time.Duration(h.UnhealthyThreshold) * (h.Interval + h.Timeout)
}

// waitReplaced waits until a task is gone and all others are in service.
func waitReplaced(t *testing.T, f *local.Fleet, id string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		all := f.Tasks()
		gone := !slices.ContainsFunc(all, func(task local.TaskStatus) bool { return task.ID == id })
		all = slices.DeleteFunc(all, func(task local.TaskStatus) bool { return !isServing(task) })
		if gone && len(all) == tasks {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not replaced after a minute: %+v", id, f.Tasks())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestRotationLosesNothing(t *testing.T) {
	f, l, newClient := fleet(t, nil)
	stop := load(newClient)
	done := rotate(t, f, rotations)
	interrupted, at := interrupt(t, f, l)
	kill(t, f, l)
	stop()
	v := l.judge()
	t.Log("\n" + summary(l, v, done))
	for _, p := range problems(l, v, done, 2) {
		t.Error(p)
	}
	if v.cutLate == 0 {
		t.Error("no endless connection was cut when the drain time was over")
	}
	if v.byKill == 0 || v.excused[byKill] == 0 {
		t.Errorf("connections that died with the killed task: %d, that were sent there afterwards: %d; "+
			"want some of both",
			v.byKill, v.excused[byKill])
	}
	last := l.lastVisit([]netip.Addr{interrupted.Address}).Sub(at)
	t.Logf("the interrupted task served its last new connection %v after SIGTERM", last.Round(time.Millisecond))
	if last < timing.TaskDrain*3/4 {
		t.Errorf("want almost %v", timing.TaskDrain)
	}
}

// hasty sends SIGTERM long before the load balancer has forgotten the old tasks: as if its lag
// were longer than anybody saw, or ECS did not wait for it. Then the entrypoint serves on.
func hasty() local.Timing {
	hasty := timing
	hasty.StopDelay = timing.DeregistrationLag / 2
	return hasty
}

// hastyRotations are enough to see it.
const hastyRotations = 2

func TestATaskServesOnAfterSIGTERMUntilTheLoadBalancerHasForgottenIt(t *testing.T) {
	for _, p := range hastyProblems(t, nil) {
		t.Error(p)
	}
}

// hastyProblems judges rotations of a fleet whose tasks get SIGTERM too early.
func hastyProblems(t *testing.T, change func(*local.Options)) []problem {
	f, l, newClient := fleet(t, func(o *local.Options) {
		o.Timing = hasty()
		if change != nil {
			change(o)
		}
	})
	stop := load(newClient)
	done := rotate(t, f, hastyRotations)
	stop()
	v := l.judge()
	t.Log("\n" + summary(l, v, done))
	return problems(l, v, done, 0)
}

// problem is something that the tests promise and a run did not show.
type problem struct{ what, detail string }

func (p problem) String() string { return p.what + ": " + p.detail }

// What problems are about. The first three are the rotation's promises, the others are what a run
// must show to prove anything.
const (
	failedNew = "new connections that failed"
	cutEarly  = "connections cut before the drain time was over"
	lagServed = "new connections to an old task, for as long as the load balancer sends them"
	allSeen   = "egress addresses that no client saw"
	allTurned = "tasks that were replaced"
	allBusy   = "clients at work"
)

// problems judges a run of some rotations, after which so many tasks were replaced one by one.
func problems(l *ledger, v verdict, done []local.Rotation, single int) (all []problem) {
	find := func(what, format string, args ...any) {
		all = append(all, problem{what, fmt.Sprintf(format, args...)})
	}
	if n := len(v.failedNew); n > 0 {
		find(failedNew, "%d, want 0: %s", n, some(v.failedNew))
	}
	if n := len(v.cutEarly); n > 0 {
		find(cutEarly, "%d, want 0: %s", n, some(v.cutEarly))
	}
	for i, r := range done {
		// Without the lag there would be none, and nothing to promise.
		if last := l.lastVisit(r.Old).Sub(r.Serving); last < l.timing.DeregistrationLag*3/4 {
			find(lagServed, "rotation %d: the last came %v after the old tasks were deregistered, want almost %v",
				i+1, last, l.timing.DeregistrationLag)
		}
		if len(r.Old) != tasks || len(r.New) != tasks {
			find(allTurned, "rotation %d: %d by %d, want %d", i+1, len(r.Old), len(r.New), tasks)
		}
	}
	if want := tasks*(len(done)+1) + single; len(l.inUse) != want {
		find(allTurned, "%d were in service in all, want %d", len(l.inUse), want)
	}
	if n := len(v.unseen); n > 0 {
		find(allSeen, "%v, want none", v.unseen)
	}
	for _, h := range habits {
		c, connections, uses := l.of(h.name), h.clients*len(done)/2, h.clients*len(done)
		if c.connections < connections || c.uses < uses {
			find(allBusy, "%s: %d connections and %d uses, want at least %d and %d", h.name, c.connections, c.uses,
				connections, uses)
		}
	}
	return all
}

func some(losses []loss) string {
	var lines []string
	for _, l := range losses[:min(len(losses), 5)] {
		lines = append(lines, fmt.Sprintf("\n  %s %s opened %s lost %s: %v", l.habit, l.egress,
			l.opened.Format("05.000"), l.at.Format("05.000"), l.err))
	}
	return strings.Join(lines, "")
}

// summary is what a reader of the test's output wants to know.
func summary(l *ledger, v verdict, done []local.Rotation) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, h := range habits {
		if c := l.counts[h.name]; c != nil {
			line("%-15s %2d clients, %6d connections, %6d uses", h.name, h.clients, c.connections, c.uses)
		}
	}
	line("rotations                                        %d in %v", len(done),
		done[len(done)-1].Ended.Sub(done[0].Began).Round(time.Second))
	line("new connections that failed                      %d", len(v.failedNew))
	line("connections cut before the drain time was over   %d", len(v.cutEarly))
	line("connections cut after it                         %d", v.cutLate)
	line("connections that died with the killed task       %d", v.byKill)
	line("new connections sent to the killed task until the health checks noticed       %d", v.excused[byKill])
	line("new connections sent to the interrupted task after the time Fargate leaves it %d", v.excused[byInterruption])
	line("egress addresses in service, seen                %d, %d", len(l.inUse), len(l.inUse)-len(v.unseen))
	var first, last, gone spread
	for _, r := range done {
		first.add(l.firstVisit(r.New).Sub(r.Began))
		last.add(l.lastVisit(r.Old).Sub(r.Began))
		gone.add(r.Ended.Sub(r.Began))
	}
	line("from a rotation's begin (shortest, longest)")
	line("  to the first answer from a new address         %v", first)
	line("  to the last new connection by an old address   %v", last)
	line("  to the end of the last old task                %v", gone)
	return b.String()
}

// spread is the shortest and the longest of some durations.
type spread struct{ least, most time.Duration }

func (s *spread) add(d time.Duration) {
	if s.least == 0 || d < s.least {
		s.least = d
	}
	s.most = max(s.most, d)
}

func (s spread) String() string {
	return fmt.Sprintf("%v, %v", s.least.Round(10*time.Millisecond), s.most.Round(10*time.Millisecond))
}
