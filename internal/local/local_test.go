package local

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/nlb"
	"squidfleet/params"
	"squidfleet/proxyimage/container"
)

func parse(t *testing.T, values map[string]any) *params.Params {
	t.Helper()
	p, err := params.Parse(values)
	must.OK(t, err)
	return p
}

func TestFasterKeepsTheRatiosOfAWSTimes(t *testing.T) {
	aws := AWS(parse(t, map[string]any{"drainTimeout": "4m"}))
	fast := aws.Faster(20)
	for name, pair := range map[string][2]time.Duration{
		"check":        {aws.HealthCheck.Interval, fast.HealthCheck.Interval},
		"delay":        {aws.DeregistrationDelay, fast.DeregistrationDelay},
		"stop":         {aws.StopDelay, fast.StopDelay},
		"lag":          {aws.DeregistrationLag, fast.DeregistrationLag},
		"drain":        {aws.TaskDrain, fast.TaskDrain},
		"stop timeout": {aws.StopTimeout - stopReserve, fast.StopTimeout - stopReserve},
	} {
		if pair[0] == 0 || pair[0]/20 != pair[1] {
			t.Errorf("%s: %v became %v", name, pair[0], pair[1])
		}
	}
	// What was seen of the load balancer at its worst, and the drainTimeout after it.
	if aws.DeregistrationLag != nlb.MaxDeregistrationLag ||
		aws.DeregistrationDelay != 4*time.Minute+nlb.MaxDeregistrationLag ||
		aws.StopDelay != aws.DeregistrationDelay {
		t.Errorf("%+v", aws)
	}
	// Whatever the speed, Squid has the same time to log what it cuts.
	if reserve := fast.StopTimeout - fast.TaskDrain; reserve < container.StopGrace+container.LogGrace {
		t.Errorf("%v between the end of a drain and SIGKILL", reserve)
	}
}

func TestARotationHasRoomForEachOfItsParts(t *testing.T) {
	timing := AWS(parse(t, nil)).Faster(30)
	checks := time.Duration(timing.HealthCheck.HealthyThreshold) * timing.HealthCheck.Interval
	parts := checks + timing.StopDelay + timing.TaskDrain
	if got := timing.Rotation(); got <= parts || got > 20*time.Second {
		t.Errorf("%v for parts of %v; the help promises that one every 20 s fits", got, parts)
	}
}

// The second address's offset is half a period. A stopped address is not started by its schedule.
func TestTheScheduleRotatesAddressesInTurnAndStartsNone(t *testing.T) {
	events := make(chan Event)
	f := new(Fleet)
	f.ctx, f.cancel = context.WithCancel(t.Context())
	f.o.Report = func(e Event) {
		select {
		case events <- e:
		case <-f.ctx.Done():
		}
	}
	for number := 1; number <= 2; number++ {
		s := &service{number: number}
		s.stopped.Store(true)
		f.services = append(f.services, s)
	}
	f.Schedule(time.Second)
	for _, want := range []int{2, 1, 2} {
		e := <-events
		if e.Number != want || e.Kind != RotationLeftOut || e.Detail != "the address is stopped" {
			t.Errorf("%+v, want address %d", e, want)
		}
	}
	f.cancel()
	f.group.Wait()
}

func TestAnAddressIsNotRotatedWhileItIsRotated(t *testing.T) {
	var left Event
	s := &service{number: 1}
	s.rotating.Store(true)
	f := &Fleet{o: Options{Report: func(e Event) { left = e }}, services: []*service{s}}
	_, err := f.Rotate(t.Context())
	if err == nil || left.Kind != RotationLeftOut || left.Detail != "the last one is not over" {
		t.Errorf("%v, %+v", err, left)
	}
}

func TestTasksNeverRunAsRoot(t *testing.T) {
	for _, c := range []struct {
		euid     int
		uid, gid string
		want     *owner
	}{
		{1000, "7", "8", nil}, {0, "7", "8", &owner{7, 8}}, {0, "", "", &owner{nobody, nobody}},
		{0, "0", "8", &owner{nobody, nobody}}, {0, "7", "", &owner{nobody, nobody}},
		{0, "joe", "8", &owner{nobody, nobody}},
	} {
		environment := map[string]string{"SUDO_UID": c.uid, "SUDO_GID": c.gid}
		got := taskUser(c.euid, func(name string) string { return environment[name] })
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// Otherwise nobody would replace it: replace looks for a task in service, and watch looks at its
// phase once.
func TestATaskThatHasEndedIsNotInService(t *testing.T) {
	f, s := &Fleet{}, &service{}
	late, dead := &task{service: s, TaskStatus: TaskStatus{Phase: PhaseStarting}},
		&task{service: s, TaskStatus: TaskStatus{Phase: PhaseServing}}
	for _, t := range []*task{late, dead} {
		t.running, t.exit = context.WithCancel(context.Background())
	}
	f.tasks = []*task{late, dead}
	late.exit()
	if f.serve(late) || late.Phase != PhaseStarting {
		t.Error("a task that had ended was put into service")
	}
	if got := f.current(s); got != dead {
		t.Errorf("%v", got)
	}
	if got := f.current(&service{}); got != nil {
		t.Errorf("another address's task: %v", got)
	}
	dead.exit()
	if got := f.current(s); got != nil {
		t.Errorf("a task that had ended counts: %v", got)
	}
}

// As with the stack's schedules, another fleetSize changes no other address's rotations. Here also
// periods of seconds are spread.
func TestRotationsOfAShortPeriodAreSpreadExactly(t *testing.T) {
	begin := time.Now()
	f := &Fleet{every: 20 * time.Second, scheduled: begin}
	for number, want := range map[int][]time.Duration{ // seconds, after 0, 10 and 61
		1: {20, 20, 80}, 2: {10, 30, 70}, 3: {5, 25, 65}, 4: {15, 15, 75},
	} {
		for i, now := range []time.Duration{0, 10, 61} {
			got := f.next(&service{number: number}, begin.Add(now*time.Second))
			if got != begin.Add(want[i]*time.Second) {
				t.Errorf("address %d after %d s: %v, want %d s", number, now, got.Sub(begin), want[i])
			}
		}
	}
}

func TestClientsHaveAnAddressThatMayUseTheProxy(t *testing.T) {
	for cidrs, want := range map[string]string{
		"203.0.113.0/24": "203.0.113.1", "198.51.100.7/32": "198.51.100.7",
		"2600:1700:1::/64,192.0.2.8/31": "192.0.2.9", "2600:1700:1::/64": "2600:1700:1::1",
	} {
		p := parse(t, map[string]any{"clientCidrs": cidrs})
		got := clientAddress(p.ClientCidrs)
		if got.String() != want ||
			!slices.ContainsFunc(p.ClientCidrs, func(c netip.Prefix) bool { return c.Contains(got) }) {
			t.Errorf("%s: %v, want %s", cidrs, got, want)
		}
	}
}

func TestOtherSystemsAreToldFirstOfAllWhatIsMissing(t *testing.T) {
	system = "darwin"
	defer func() { system = runtime.GOOS }()
	_, origin := StartOrigin(nil)
	_, fleet := Start(t.Context(), Options{})
	for _, err := range []error{origin, fleet} {
		if !errors.Is(err, errors.ErrUnsupported) ||
			!strings.Contains(err.Error(), "on darwin: the entrypoint is a program for Linux") {
			t.Error(err)
		}
	}
}

func TestOutputIsCountedAndItsEndKept(t *testing.T) {
	var c requestCounter
	for _, part := range []string{"{\"a\":1}\n{\"b\"", ":2}\n", "{"} {
		c.Write([]byte(part))
	}
	if n := c.lines.Load(); n != 2 {
		t.Errorf("%d lines", n)
	}
	var last tail
	last.Write([]byte(strings.Repeat("x", 3*tailLimit)))
	last.Write([]byte("the reason\n"))
	if text := last.String(); len(text) > tailLimit || !strings.HasSuffix(text, "xthe reason") {
		t.Errorf("%d bytes that end in %q", len(text), text[len(text)-20:])
	}
}

func TestSquidIsFoundOrTheErrorTellsHowToInstallIt(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	usual := filepath.Join(dir, "sbin", "squid")
	if _, err := findSquid(usual); err == nil || !strings.Contains(err.Error(), "sudo apt-get install squid") {
		t.Error(err)
	}
	onPath := filepath.Join(dir, "squid")
	must.OK(t, os.WriteFile(onPath, []byte("#!/bin/sh\n"), 0o755))
	if got, err := findSquid(usual); got != onPath || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := findSquid(onPath); got != onPath || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
