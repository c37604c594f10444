package operator

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/operator/standin"
)

// A long rotation of many addresses is no reason to give up, but one that stands still is.
func TestTheTimeoutCountsFromTheLastChange(t *testing.T) {
	for _, stands := range []bool{false, true} {
		f, aws := connect(t)
		must.OK(t, aws.Set("addresses", "20"))
		looks := 0
		f.now = func() time.Time {
			looks++
			return time.Unix(int64(looks), 0)
		}
		if stands {
			must.OK(t, aws.Set("never-healthy"))
		}
		_, err := f.Change(t.Context(), Rotate, nil, ChangeOptions{Wait: true, Timeout: 20 * time.Second}, nil)
		if given := err != nil; given != stands || looks < 20 {
			t.Errorf("stands still %v: %v after %d s", stands, err, looks)
		}
	}
}

// A deployment of a smaller fleet may delete what is being rotated, or is to be.
func TestAnAddressIsRemovedMeanwhile(t *testing.T) {
	f, aws := connect(t)
	must.OK(t, errors.Join(aws.Set("addresses", "3"), aws.Set("never-healthy")))
	changes, err := f.Change(t.Context(), Rotate, []Selector{{Number: 3}, {Number: 2}},
		ChangeOptions{Timeout: time.Minute}, func(line string) {
			if err := aws.Set("addresses", "1"); err != nil {
				t.Error(err)
			}
		})
	want := "address 3: it was removed meanwhile; address 2: it was removed meanwhile"
	if err == nil || err.Error() != want || len(changes) != 2 {
		t.Errorf("%v, %+v", err, changes)
	}
}

// The schedule may rotate an address once more while its old task drains. That is no failure.
func TestTheNextRotationBeginsMeanwhile(t *testing.T) {
	f, aws := connect(t)
	begun := false
	o := ChangeOptions{Wait: true, Timeout: time.Minute}
	changes, err := f.Change(t.Context(), Rotate, []Selector{{Number: 1}}, o, func(line string) {
		if !begun && strings.Contains(line, "serving") {
			begun = true
			if err := aws.Set("rotating", "1", "now"); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || changes[0].State != Done || !begun {
		t.Errorf("%+v, %v", changes, err)
	}
	if got := len(aws.Inputs("ecs:ListServices")); got != 2 { // 4 services, 2 a page
		t.Errorf("the services were listed again: %d pages", got)
	}
}

func TestProgressIsShort(t *testing.T) {
	changes := make([]*Change, 12)
	for i := range changes {
		changes[i] = &Change{Number: i + 1, State: Begun}
	}
	if got := progress(changes); got != "done: 0 of 12; begun: 12 addresses" {
		t.Error(got)
	}
	changes[3].State, changes[7].State = Failed, Done
	if got := progress(changes); got != "done: 2 of 12; begun: 1, 2, 3, 5, 6, 7, 9, 10, 11, 12; failed: 4" {
		t.Error(got)
	}
}

// What ips asks for a large fleet, with two services in the cluster that are not the fleet's.
func TestCallsOfALargeFleet(t *testing.T) {
	for size, want := range map[int]map[string]int{
		49:  {"ecs:ListServices": 1, "ecs:DescribeServices": 6, "ecs:ListTasks": 2, "ecs:DescribeTasks": 1},
		100: {"ecs:ListServices": 2, "ecs:DescribeServices": 11, "ecs:ListTasks": 2, "ecs:DescribeTasks": 1},
		// As many tasks as never are: more than ECS describes in a call, and than EC2 takes in a filter.
		230: {"ecs:ListServices": 3, "ecs:DescribeServices": 24, "ecs:ListTasks": 4, "ecs:DescribeTasks": 3,
			"ec2:DescribeNetworkInterfaces": 3},
	} {
		f, aws := connect(t)
		for _, change := range [][]string{{"addresses", fmt.Sprint(size)}, {"full-pages"}} {
			must.OK(t, aws.Set(change[0], change[1:]...))
		}
		begun := time.Now()
		f.now = func() time.Time { return time.Unix(0, 0) } // No address is overdue, at any hour.
		all, err := f.Addresses(t.Context())
		must.OK(t, err)
		_, err = f.Trouble(t.Context(), all)
		must.OK(t, err)
		t.Logf("%d addresses: %v", size, time.Since(begun))
		seen := map[netip.Addr]bool{}
		for i, a := range all {
			if a.Number != i+1 || a.Port != 35202+i || len(a.Tasks) != 1 || seen[a.Tasks[0].Address] {
				t.Errorf("%+v", a)
			}
			seen[a.Tasks[0].Address] = true
		}
		for _, once := range []string{
			"cloudformation:DescribeStacks", "elasticloadbalancing:DescribeTargetHealth",
			"ec2:DescribeNetworkInterfaces", "sqs:GetQueueAttributes",
		} {
			want[once] = max(want[once], 1)
		}
		got := map[string]int{}
		for _, call := range aws.Calls() {
			got[call]++
		}
		if len(all) != size || !reflect.DeepEqual(got, want) {
			t.Errorf("%d addresses: %v, want %v", len(all), got, want)
		}
	}
}

// An address is asked for the reason only if it is older than it should be, and not each of many.
func TestTroubleAsksForTheOverdue(t *testing.T) {
	for _, c := range []struct {
		every        string
		stopped, old int
		want         int
	}{{"off", 0, 1, 0}, {"10m", 0, 1, 2}, {"10m", 2, 1, 1}, {"10m", 0, 20, 10}} {
		aws := standin.New()
		defer aws.Close()
		environment(t, aws.URL)
		if c.stopped > 0 {
			must.OK(t, aws.Set("stopped", fmt.Sprint(c.stopped)))
		}
		must.OK(t, aws.Set("rotate-every", c.every))
		f, err := Connect(t.Context(), Options{StackName: standin.StackName, Poll: time.Millisecond})
		must.OK(t, err)
		all, err := f.Addresses(t.Context())
		must.OK(t, err)
		_, err = f.Trouble(t.Context(), slices.Repeat(all, c.old))
		must.OK(t, err)
		if got := len(aws.Inputs("ecs:ListServiceDeployments")); got != c.want {
			t.Errorf("%+v: asked %d times", c, got)
		}
	}
}

// An hour after a rotation was due, the task from before it is late.
func TestOverdue(t *testing.T) {
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	f := &Connection{rotateEvery: 7 * 24 * time.Hour}
	for _, c := range []struct {
		now, started time.Duration
		health       Health
		want         bool
	}{
		{time.Hour, -time.Minute, Healthy, true}, {time.Hour, time.Minute, Healthy, false},
		{time.Hour, -time.Minute, Draining, false}, {time.Hour - 1, -time.Minute, Healthy, false},
		{time.Hour - 1, -7*24*time.Hour - time.Minute, Unhealthy, true},
	} {
		a := Address{Number: 1, Tasks: []Task{{Health: c.health, StartedAt: monday.Add(c.started)}}}
		if got := f.overdue(a, monday.Add(c.now)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestParseSelector(t *testing.T) {
	for text, want := range map[string]Selector{
		"3": {Number: 3}, "::ffff:198.51.100.7": {Address: netip.MustParseAddr("198.51.100.7")},
	} {
		if got, err := ParseSelector(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "three", "1.2.3", "198.51.100.7:1"} {
		if got, err := ParseSelector(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
