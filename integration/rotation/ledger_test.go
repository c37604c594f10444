package rotation

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"squidfleet/internal/local"
)

// ledger collects what clients got and lost, and what happened to the fleet meanwhile.
type ledger struct {
	mu      sync.Mutex
	counts  map[string]*count // by habit
	seen    map[netip.Addr]bool
	visits  []visit
	losses  []loss
	endings map[netip.Addr]ending
	inUse   map[netip.Addr]bool // addresses of tasks that came into service

	// timing and drainTimeout say how long connections may go on.
	timing       local.Timing
	drainTimeout time.Duration
	excuses      []excuse
}

// excuse is a span in which new connections may fail, because the load balancer sent them to a
// task that is gone: at most as many as that task had open at its end or refused afterwards.
type excuse struct {
	from, to time.Time
	reason   string
	most     uint64
}

// count is what a kind of client did.
type count struct{ connections, uses int }

// visit is a new connection that was served.
type visit struct {
	opened, answered time.Time
	egress           netip.Addr
}

// loss is a connection that failed, or was cut.
type loss struct {
	habit  string
	at     time.Time
	opened time.Time
	egress netip.Addr // invalid: it failed before it was of any use
	err    error
}

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
		counts: map[string]*count{}, seen: map[netip.Addr]bool{}, endings: map[netip.Addr]ending{},
		inUse: map[netip.Addr]bool{}, timing: timing, drainTimeout: drainTimeout,
	}
}

func (l *ledger) of(habit string) *count {
	if l.counts[habit] == nil {
		l.counts[habit] = &count{}
	}
	return l.counts[habit]
}

func (l *ledger) opened(habit string, c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(habit).connections++
	l.visits = append(l.visits, visit{c.opened, time.Now(), c.egress})
}

func (l *ledger) served(habit string, c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(habit).uses++
	l.seen[c.egress] = true
}

func (l *ledger) lost(habit string, c *connection, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses = append(l.losses, loss{habit, time.Now(), c.opened, c.egress, err})
}

// report follows the fleet's events.
func (l *ledger) report(e local.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Task == nil {
		return
	}
	address := e.Task.Address
	switch e.Kind {
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

// killed notes that a task is about to be killed.
func (l *ledger) killed(address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endings[address] = ending{mayCutFrom: time.Now(), killed: true}
}

func (l *ledger) excuse(e excuse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.excuses = append(l.excuses, e)
}

// verdict sorts the losses.
type verdict struct {
	failedNew []loss            // new connections that failed, but for the excused ones
	cutEarly  []loss            // connections cut before their task's drain time was over
	cutLate   int               // connections cut after it: tunnels that outlived their task
	byKill    int               // connections that died with a killed task
	excused   map[string]uint64 // new connections that failed because their task was gone
	unseen    []netip.Addr
}

func (l *ledger) judge() verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := verdict{excused: map[string]uint64{}}
	for _, loss := range l.losses {
		end, known := l.endings[loss.egress]
		switch {
		case !loss.egress.IsValid():
			if reason, ok := l.excused(loss, v.excused); ok {
				v.excused[reason]++
			} else {
				v.failedNew = append(v.failedNew, loss)
			}
		case !known || end.early(loss, l.drainTimeout):
			v.cutEarly = append(v.cutEarly, loss)
		case end.killed:
			v.byKill++
		default:
			v.cutLate++
		}
	}
	for address := range maps.Keys(l.inUse) {
		if !l.seen[address] {
			v.unseen = append(v.unseen, address)
		}
	}
	slices.SortFunc(v.unseen, netip.Addr.Compare)
	return v
}

// excused says why a new connection may have failed, if it may, and if as many as may do not yet.
func (l *ledger) excused(failed loss, before map[string]uint64) (reason string, ok bool) {
	for _, e := range l.excuses {
		if failed.at.After(e.from) && failed.opened.Before(e.to) && before[e.reason] < e.most {
			return e.reason, true
		}
	}
	return "", false
}

// lastVisit is when the last new connection to one of the addresses was opened.
func (l *ledger) lastVisit(addresses []netip.Addr) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	var last time.Time
	for _, v := range l.visits {
		if slices.Contains(addresses, v.egress) && v.opened.After(last) {
			last = v.opened
		}
	}
	return last
}

// firstVisit is when the first answer from one of the addresses came.
func (l *ledger) firstVisit(addresses []netip.Addr) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first time.Time
	for _, v := range l.visits {
		if slices.Contains(addresses, v.egress) && (first.IsZero() || v.answered.Before(first)) {
			first = v.answered
		}
	}
	return first
}
