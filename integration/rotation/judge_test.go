package rotation

import (
	"net/netip"
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
		name                 string
		opened, lost         float64
		egress               netip.Addr
		early, late, byDeath bool // else it is a new connection that failed
	}{
		{name: "of a task in service", opened: -9, lost: -1, egress: serving, early: true},
		{name: "before the delay was over", opened: -9, lost: 7.9, egress: old, early: true},
		{name: "when it was over", opened: -9, lost: 8.1, egress: old, late: true},
		{name: "of the last connection, in its drain time", opened: 4.5, lost: 8.1, egress: old, early: true},
		{name: "of the last connection, a little later than it should be", opened: 4.05,
			lost: 8.02, egress: old, late: true},
		{name: "in the entrypoint's drain", opened: 0, lost: 4.9, egress: hasty, early: true},
		{name: "when that was over", opened: 3, lost: 5.1, egress: hasty, late: true},
		{name: "in the drain of an interrupted task", opened: 0, lost: 2.9, egress: interrupted, early: true},
		{name: "when that was over, too", opened: 2.5, lost: 3.1, egress: interrupted, late: true},
		{name: "before the death", opened: -9, lost: -1, egress: dead, early: true},
		{name: "by the death", opened: -9, lost: 0.1, egress: dead, byDeath: true},
		{name: "before any answer", opened: 1, lost: 1.1},
	} {
		l := newLedger(timing, drainTimeout)
		l.report(event(0, local.Draining, old))
		l.report(event(8, local.Stopping, old))
		l.report(event(0, local.Draining, hasty))
		l.report(event(2, local.Stopping, hasty))
		l.report(event(0, local.Stopping, interrupted))
		l.endings[dead] = ending{mayCutFrom: at(0), killed: true}
		l.losses = []loss{{at: at(c.lost), opened: at(c.opened), egress: c.egress}}
		v := l.judge()
		want := [4]bool{!c.early && !c.late && !c.byDeath, c.early, c.late, c.byDeath}
		if got := [4]bool{len(v.failedNew) == 1, len(v.cutEarly) == 1, v.cutLate == 1, v.byKill == 1}; got != want {
			t.Errorf("a loss %s: failed, cut early, cut late, by the death: %v, want %v", c.name, got, want)
		}
	}
}

func TestTheLedgerExcusesNoMoreThanTheDeadTaskCost(t *testing.T) {
	begin := time.Now()
	l := newLedger(local.Timing{}, 0)
	l.excuse(excuse{begin, begin.Add(time.Second), anyAddress, byKill, 2})
	l.excuse(excuse{begin, begin.Add(time.Second), 3, byStop, noLimit})
	for _, span := range [][2]time.Duration{{-2, -1}, {100, 101}, {100, 102}, {100, 103}, {1001, 1002}} {
		for _, number := range []int{anyAddress, 2, 3} {
			l.losses = append(l.losses, loss{
				number: number, opened: begin.Add(span[0] * time.Millisecond),
				at: begin.Add(span[1] * time.Millisecond),
			})
		}
	}
	v := l.judge()
	if v.excused[byKill] != 2 || len(v.failedNew) != 3 {
		t.Errorf("%d excused, %d not; want the two of three within the span", v.excused[byKill], len(v.failedNew))
	}
	if v.excused[byStop] != 3 || len(v.failedOwn) != 7 {
		t.Errorf("%d excused, %d not; want all of address 3 within the span, none of 2", v.excused[byStop],
			len(v.failedOwn))
	}
}

func TestTheLedgerNoticesWhenAPortLeadsToAnotherAddress(t *testing.T) {
	l := newLedger(local.Timing{}, 0)
	for number := 1; number <= 2; number++ {
		task := &local.TaskStatus{Address: address(byte(number))}
		l.report(local.Event{Kind: local.Started, Number: number, Task: task})
	}
	for _, c := range []struct {
		port   int
		egress byte
		astray bool
	}{{anyAddress, 1, false}, {anyAddress, 2, false}, {2, 2, false}, {2, 1, true}, {1, 3, true}} {
		l.astray = nil
		l.served("", &connection{number: c.port, egress: address(c.egress)})
		if got := len(l.astray) == 1; got != c.astray {
			t.Errorf("%+v: %v", c, l.astray)
		}
	}
}

func address(last byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 77, 9, last}) }
