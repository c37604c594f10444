package rotation

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"squidfleet/internal/local"
)

// ledger collects what clients got and lost, and what happened to the fleet meanwhile.
type ledger struct {
	mu      sync.Mutex
	visits  []visit
	uses    map[string]int // by habit
	losses  []loss
	excuses []excuse
	endings map[netip.Addr]ending
	numbers map[netip.Addr]int    // of the addresses whose task it was
	inUse   map[netip.Addr]bool   // egress addresses of tasks that came into service
	details map[local.Kind]string // of the last event of a kind

	// timing and drainTimeout say how long connections may go on.
	timing       local.Timing
	drainTimeout time.Duration
}

// visit is a connection of a client, which was served if it has an egress.
type visit struct {
	number           int // the client's
	habit            string
	opened, answered time.Time
	egress           netip.Addr
}

// loss is a connection that failed, or was cut.
type loss struct {
	visit
	at  time.Time
	err error
}

// excuse is a span in which new connections at one port may fail, because the load balancer sent
// them to a task that is gone: at most as many as that task had open at its end or refused
// afterwards. While an address has no task at all, its port has no limit.
type excuse struct {
	from, to time.Time
	number   int
	reason   string
	most     uint64
}

// noLimit is more than can fail.
const noLimit = math.MaxUint64

// ending is how an address left service.
type ending struct {
	// mayCutFrom is when connections may be cut at the earliest. For a task that was killed it is
	// the moment before its death.
	mayCutFrom time.Time
	// inOrder: the task was left alone for the whole deregistration delay, so each of its
	// connections has the drainTimeout.
	inOrder bool
	killed  bool
}

// lateness is what a busy machine adds to the end of the load balancer's lag: its last connections
// begin so much later than they should.
const lateness = 100 * time.Millisecond

// early reports whether a connection was cut before its time.
func (e ending) early(cut loss, drainTimeout time.Duration) bool {
	return cut.at.Before(e.mayCutFrom) || e.inOrder && cut.at.Before(cut.opened.Add(drainTimeout-lateness))
}

func newLedger(timing local.Timing, drainTimeout time.Duration) *ledger {
	return &ledger{
		uses: map[string]int{}, endings: map[netip.Addr]ending{}, numbers: map[netip.Addr]int{},
		inUse: map[netip.Addr]bool{}, details: map[local.Kind]string{}, timing: timing, drainTimeout: drainTimeout,
	}
}

// note changes the ledger.
func (l *ledger) note(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *ledger) forgive(e excuse) { l.note(func() { l.excuses = append(l.excuses, e) }) }

// report follows the fleet's events.
func (l *ledger) report(e local.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.details[e.Kind] = e.Detail
	if e.Task == nil {
		return
	}
	address := e.Task.Address
	switch e.Kind {
	case local.Started:
		l.numbers[address] = e.Number
	case local.Serving:
		l.inUse[address] = true
	case local.Draining:
		l.endings[address] = ending{mayCutFrom: e.Time.Add(l.timing.DeregistrationDelay), inOrder: true}
	case local.Stopping:
		over := e.Time.Add(l.timing.TaskDrain)
		if drained, known := l.endings[address]; !known || over.Before(drained.mayCutFrom) {
			l.endings[address] = ending{mayCutFrom: over}
		}
	}
}

// What losses are: the first three break a promise, the next two are counted, and so are those that
// have one of the excuses' reasons.
const (
	failedNew = "new connections at the common port that failed"
	failedOwn = "new connections at an address's own port that failed"
	cutEarly  = "connections cut before the drain time was over"
	cutLate   = "tunnels that outlived their task"
	died      = "connections that died with a killed task"
)

// sort sorts the losses by what they are.
func (l *ledger) sort() map[string][]loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	sorted, excuses := map[string][]loss{}, append([]excuse(nil), l.excuses...)
	for _, one := range l.losses {
		what := cutLate
		end, known := l.endings[one.egress]
		switch {
		case !one.egress.IsValid():
			what = whyNew(one, excuses)
		case !known || end.early(one, l.drainTimeout):
			what = cutEarly
		case end.killed:
			what = died
		}
		sorted[what] = append(sorted[what], one)
	}
	return sorted
}

// whyNew is what a new connection that failed is. It uses up an excuse if there is one.
func whyNew(failed loss, excuses []excuse) string {
	for i, e := range excuses {
		if failed.number == e.number && failed.at.After(e.from) && failed.opened.Before(e.to) && e.most > 0 {
			excuses[i].most--
			return e.reason
		}
	}
	if failed.number == anyAddress {
		return failedNew
	}
	return failedOwn
}

// which returns some visits, in the order of their answers.
func (l *ledger) which(wanted func(visit) bool) (some []visit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.visits {
		if wanted(v) {
			some = append(some, v)
		}
	}
	return some
}

// astray are the visits at an address's own port that led to another address.
func (l *ledger) astray() []visit {
	return l.which(func(v visit) bool { return v.number != anyAddress && l.numbers[v.egress] != v.number })
}

// visited returns the first answer and the last opening of new connections to an egress address, at
// the common port or at the address's own. Without any, both are zero.
func (l *ledger) visited(egress netip.Addr, own bool) (first, last time.Time) {
	all := l.which(func(v visit) bool { return v.egress == egress && (v.number != anyAddress) == own })
	for _, v := range all {
		if v.opened.After(last) {
			last = v.opened
		}
	}
	if len(all) > 0 {
		first = all[0].answered
	}
	return first, last
}

// unseen are the egress addresses of tasks in service that no client saw at one of the two ports.
func (l *ledger) unseen() (all []netip.Addr) {
	for egress := range l.inUse {
		for _, own := range []bool{false, true} {
			if first, _ := l.visited(egress, own); first.IsZero() {
				all = append(all, egress)
			}
		}
	}
	return all
}
