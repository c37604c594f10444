package rotation

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/internal/rig"
	"squidfleet/params"
	"squidfleet/squid"
)

// speed divides all of AWS's times, so that their ratios stay: the load balancer's lag and the deregistration delay, two minutes each, are 4 s, health checks come every third of a second instead of every 10 s.
const speed = 30

var (
	parameters = must(params.Parse(map[string]any{"users": "alice"}))
	timing     = local.AWS(parameters).Faster(speed)
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
	l := newLedger(timing)
	origin, err := local.StartOrigin(origin(timing.DeregistrationDelay / 2))
	if err != nil {
		t.Fatal(err)
	}
	password := rand.Text()
	o := local.Options{
		Params: parameters, Passwords: []squid.Credential{{User: "alice", Password: password}},
		Tasks: tasks, Zones: zones, Timing: timing, Origin: origin.Address,
		Report: func(e local.Event) {
			t.Log(e.Time.Format("05.000"), e)
			l.report(e)
		},
	}
	if change != nil {
		change(&o)
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
		return client{proxy: rig.Client{Task: f.Endpoint, User: "alice", Password: password}, origin: origin.Address.String(), ledger: l}
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
func serving(t *testing.T, f *local.Fleet) local.Task {
	t.Helper()
	for _, task := range f.Tasks() {
		if task.Phase == local.PhaseServing {
			return task
		}
	}
	t.Fatal("no task is in service")
	return local.Task{}
}

// scenario is what happens to a fleet under load.
func scenario(t *testing.T, f *local.Fleet, l *ledger, timing local.Timing, rotations int) (done []local.Rotation) {
	t.Helper()
	for range rotations {
		r, err := f.Rotate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, r)
	}

	// A Spot interruption: the load balancer and the task learn of it at the same time. The load balancer's lag may be longer than the 110 s that a task has to serve on, of the 120 s that Fargate
	// leaves it; what is sent to it in between is lost, whatever the task does.
	victim := serving(t, f)
	interrupted := time.Now()
	if err := f.Interrupt(victim.ID); err != nil {
		t.Fatal(err)
	}
	l.excuse(interrupted.Add(timing.TaskDrain), interrupted.Add(timing.DeregistrationLag+unnoticed(timing)), "interrupted")
	waitGone(t, f, victim.ID)
	time.Sleep(time.Until(interrupted.Add(timing.DeregistrationLag + unnoticed(timing))))

	// A machine that fails: nobody knows of it before the health checks do.
	victim = serving(t, f)
	l.kill(victim.Address, unnoticed(timing))
	if err := f.Kill(victim.ID); err != nil {
		t.Fatal(err)
	}
	waitGone(t, f, victim.ID)
	waitServing(t, f, tasks)
	time.Sleep(unnoticed(timing))
	return done
}

// unnoticed is how long the load balancer takes at most to find out that a task is gone.
func unnoticed(timing local.Timing) time.Duration {
	return time.Duration(timing.HealthCheck.UnhealthyThreshold) * (timing.HealthCheck.Interval + timing.HealthCheck.Timeout)
}

func waitGone(t *testing.T, f *local.Fleet, id string) {
	t.Helper()
	waitFor(t, id+" is gone", func(all []local.Task) bool {
		for _, task := range all {
			if task.ID == id {
				return false
			}
		}
		return true
	}, f)
}

func waitServing(t *testing.T, f *local.Fleet, n int) {
	t.Helper()
	waitFor(t, fmt.Sprint(n, " tasks are in service"), func(all []local.Task) bool {
		var serving int
		for _, task := range all {
			if task.Phase == local.PhaseServing {
				serving++
			}
		}
		return serving == n
	}, f)
}

func waitFor(t *testing.T, what string, done func([]local.Task) bool, f *local.Fleet) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done(f.Tasks()) {
		if time.Now().After(deadline) {
			t.Fatalf("not after a minute: %s; %+v", what, f.Tasks())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestRotationLosesNothing(t *testing.T) {
	f, l, newClient := fleet(t, nil)
	stop := load(newClient)
	done := scenario(t, f, l, timing, rotations)
	stop()
	v := l.judge()
	t.Log("\n" + summary(l, v, done))
	for _, p := range problems(v) {
		t.Error(p)
	}
}

// problems are the rotation's promises that were not kept.
func problems(v verdict) (all []string) {
	if n := len(v.failedNew); n > 0 {
		all = append(all, fmt.Sprintf("new connections that failed: %d, want 0: %s", n, some(v.failedNew)))
	}
	if n := len(v.cutEarly); n > 0 {
		all = append(all, fmt.Sprintf("connections cut before the drain time was over: %d, want 0: %s", n, some(v.cutEarly)))
	}
	if n := len(v.unseen); n > 0 {
		all = append(all, fmt.Sprintf("egress addresses that no client saw: %v, want none", v.unseen))
	}
	return all
}

func some(losses []loss) string {
	var lines []string
	for _, l := range losses[:min(len(losses), 5)] {
		lines = append(lines, fmt.Sprintf("\n  %s %s opened %s lost %s: %v", l.habit, l.egress, l.opened.Format("05.000"), l.at.Format("05.000"), l.err))
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
	line("rotations                                        %d", len(done))
	line("new connections that failed                      %d", len(v.failedNew))
	line("connections cut before the drain time was over   %d", len(v.cutEarly))
	line("connections cut after it                         %d", v.cutLate)
	line("connections that died with the killed task       %d", v.byKill)
	line("new connections sent to the killed task until the health checks noticed       %d", v.excused["killed"])
	line("new connections sent to the interrupted task after the time Fargate leaves it %d", v.excused["interrupted"])
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
