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

	// timing says how long connections may go on: DeregistrationDelay from a task's deregistration, and TaskDrain from SIGTERM where both come at once.
	timing local.Timing
	// excused are spans in which a new connection may fail, because the load balancer sent it to a task that no longer exists.
	excused []span
}

type span struct {
	from, to time.Time
	reason   string
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
	// mayCutFrom is when the drain time is over: from then on connections may be cut. For a task that was killed it is the moment before its death.
	mayCutFrom time.Time
	killed     bool
}

func newLedger(timing local.Timing) *ledger {
	return &ledger{counts: map[string]*count{}, seen: map[netip.Addr]bool{}, endings: map[netip.Addr]ending{}, inUse: map[netip.Addr]bool{}, timing: timing}
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
		l.endings[address] = ending{mayCutFrom: e.Time.Add(l.timing.DeregistrationDelay)}
	case local.Stopping:
		if _, drained := l.endings[address]; !drained {
			l.endings[address] = ending{mayCutFrom: e.Time.Add(min(l.timing.TaskDrain, l.timing.DeregistrationDelay))}
		}
	}
}

// kill notes that a task is about to be killed, and that nobody notices for a while.
func (l *ledger) kill(address netip.Addr, unnoticed time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.endings[address] = ending{mayCutFrom: now, killed: true}
	l.excused = append(l.excused, span{now, now.Add(unnoticed), "killed"})
}

// excuse notes a span in which the load balancer may send new connections to a task that is gone.
func (l *ledger) excuse(from, to time.Time, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.excused = append(l.excused, span{from, to, reason})
}

// verdict sorts the losses.
type verdict struct {
	failedNew []loss         // new connections that failed, but for the excused ones
	cutEarly  []loss         // connections cut before their task's drain time was over
	cutLate   int            // connections cut after it: tunnels that outlived their task
	byKill    int            // connections that died with a killed task
	excused   map[string]int // new connections that failed because the load balancer sent them to a task that was gone
	unseen    []netip.Addr
}

func (l *ledger) judge() verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := verdict{excused: map[string]int{}}
	for _, loss := range l.losses {
		end, known := l.endings[loss.egress]
		excuse := slices.IndexFunc(l.excused, func(s span) bool { return loss.at.After(s.from) && loss.opened.Before(s.to) })
		switch {
		case !loss.egress.IsValid() && excuse >= 0:
			v.excused[l.excused[excuse].reason]++
		case !loss.egress.IsValid():
			v.failedNew = append(v.failedNew, loss)
		case !known || loss.at.Before(end.mayCutFrom):
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
