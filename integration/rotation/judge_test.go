package rotation

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"squidfleet/internal/local"
)

// What the tests here count depends on what the ledger takes for a loss, and for whose.
func TestTheLedgerForgivesNothingThatCouldBeSaved(t *testing.T) {
	timing := local.Timing{
		DeregistrationDelay: 8 * time.Second, DeregistrationLag: 4 * time.Second, TaskDrain: 3 * time.Second,
	}
	const drainTimeout = 4 * time.Second
	old, hasty, interrupted, dead, serving := address(1), address(2), address(3), address(4), address(5)
	begin := time.Now()
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	event := func(seconds float64, kind local.Kind, a netip.Addr) local.Event {
		return local.Event{Time: at(seconds), Kind: kind, Task: &local.TaskStatus{Address: a}}
	}
	for _, c := range []struct {
		name         string
		opened, lost float64
		egress       netip.Addr
		want         string
	}{
		{"of a task in service", -9, -1, serving, cutEarly},
		{"before the delay was over", -9, 7.9, old, cutEarly},
		{"when it was over", -9, 8.1, old, cutLate},
		{"of the last connection, in its drain time", 4.5, 8.1, old, cutEarly},
		{"of the last connection, a little later than it should be", 4.05, 8.02, old, cutLate},
		{"in the entrypoint's drain", 0, 4.9, hasty, cutEarly},
		{"when that was over", 3, 5.1, hasty, cutLate},
		{"in the drain of an interrupted task", 0, 2.9, interrupted, cutEarly},
		{"when that was over, too", 2.5, 3.1, interrupted, cutLate},
		{"before the death", -9, -1, dead, cutEarly},
		{"by the death", -9, 0.1, dead, died},
		{"before any answer", 1, 1.1, netip.Addr{}, failedNew},
	} {
		l := newLedger(timing, drainTimeout)
		l.report(event(0, local.Draining, old))
		l.report(event(8, local.Stopping, old))
		l.report(event(0, local.Draining, hasty))
		l.report(event(2, local.Stopping, hasty))
		l.report(event(0, local.Stopping, interrupted))
		l.endings[dead] = ending{mayCutFrom: at(0), killed: true}
		l.losses = []loss{{visit{opened: at(c.opened), egress: c.egress}, at(c.lost), nil}}
		if got := l.sort(); len(got[c.want]) != 1 {
			t.Errorf("a loss %s: %+v, want %s", c.name, got, c.want)
		}
	}
}

func TestTheLedgerExcusesNoMoreThanTheDeadTaskCost(t *testing.T) {
	begin := time.Now()
	l := newLedger(local.Timing{}, 0)
	l.forgive(excuse{begin, begin.Add(time.Second), anyAddress, byKill, 2})
	l.forgive(excuse{begin, begin.Add(time.Second), 3, byStop, noLimit})
	for _, span := range [][2]time.Duration{{-2, -1}, {100, 101}, {100, 102}, {100, 103}, {1001, 1002}} {
		for _, number := range []int{anyAddress, 2, 3} {
			opened, at := begin.Add(span[0]*time.Millisecond), begin.Add(span[1]*time.Millisecond)
			l.losses = append(l.losses, loss{visit{number: number, opened: opened}, at, nil})
		}
	}
	// Two of the three within the span, all of address 3 there, and none of address 2.
	got := l.sort()
	for what, want := range map[string]int{byKill: 2, failedNew: 3, byStop: 3, failedOwn: 7} {
		if len(got[what]) != want {
			t.Errorf("%s: %d, want %d", what, len(got[what]), want)
		}
	}
}

func TestTheLedgerNoticesWhenAPortLeadsToAnotherAddress(t *testing.T) {
	l := newLedger(local.Timing{}, 0)
	for number := 1; number <= 2; number++ {
		task := &local.TaskStatus{Address: address(byte(number))}
		l.report(local.Event{Kind: local.Started, Number: number, Task: task})
	}
	astray := []visit{{number: 2, egress: address(1)}, {number: 1, egress: address(3)}}
	l.visits = append([]visit{
		{number: anyAddress, egress: address(1)}, {number: anyAddress, egress: address(2)},
		{number: 2, egress: address(2)},
	}, astray...)
	if got := l.astray(); !slices.Equal(got, astray) {
		t.Errorf("%+v", got)
	}
}

func address(last byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 77, 9, last}) }
