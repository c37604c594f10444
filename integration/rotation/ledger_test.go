package rotation

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"sync"
	"time"

	"squidfleet/internal/local"
)

// ledger collects what clients got and lost, and what happened to the fleet meanwhile.
type ledger struct {
	mu      sync.Mutex
	counts  map[string]*count // by habit
	seen    map[sight]bool
	visits  []visit
	losses  []loss
	astray  []string // uses of an address's port that led to another address
	endings map[netip.Addr]ending
	numbers map[netip.Addr]int    // of the addresses whose task it was
	inUse   map[netip.Addr]bool   // egress addresses of tasks that came into service
	details map[local.Kind]string // of the last event of a kind

	// timing and drainTimeout say how long connections may go on.
	timing       local.Timing
	drainTimeout time.Duration
	excuses      []excuse
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

// count is what a kind of client did.
type count struct{ connections, uses int }

// sight is an egress address as seen at the common port, or at an address's own.
type sight struct {
	egress netip.Addr
	own    bool
}

// visit is a new connection that was served.
type visit struct {
	number           int
	opened, answered time.Time
	egress           netip.Addr
}

// loss is a connection that failed, or was cut.
type loss struct {
	number int
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
		counts: map[string]*count{}, seen: map[sight]bool{}, endings: map[netip.Addr]ending{},
		numbers: map[netip.Addr]int{}, inUse: map[netip.Addr]bool{}, details: map[local.Kind]string{},
		timing: timing, drainTimeout: drainTimeout,
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
	l.visits = append(l.visits, visit{c.number, c.opened, time.Now(), c.egress})
}

func (l *ledger) served(habit string, c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(habit).uses++
	l.seen[sight{c.egress, c.number != anyAddress}] = true
	if led := l.numbers[c.egress]; c.number != anyAddress && led != c.number {
		l.astray = append(l.astray,
			fmt.Sprintf("the port of address %d led to %v of address %d", c.number, c.egress, led))
	}
}

func (l *ledger) lost(habit string, c *connection, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses = append(l.losses, loss{c.number, habit, time.Now(), c.opened, c.egress, err})
}

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
	failedNew []loss            // new connections at the common port that failed, but for the excused
	failedOwn []loss            // those at an address's own
	cutEarly  []loss            // connections cut before their task's drain time was over
	cutLate   int               // connections cut after it: tunnels that outlived their task
	byKill    int               // connections that died with a killed task
	excused   map[string]uint64 // new connections that failed because their task was gone
	unseen    []sight
}

func (l *ledger) judge() verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := verdict{excused: map[string]uint64{}}
	used := make([]uint64, len(l.excuses))
	for _, loss := range l.losses {
		end, known := l.endings[loss.egress]
		switch {
		case !loss.egress.IsValid():
			if i := l.excuseOf(loss, used); i >= 0 {
				used[i]++
				v.excused[l.excuses[i].reason]++
			} else if loss.number == anyAddress {
				v.failedNew = append(v.failedNew, loss)
			} else {
				v.failedOwn = append(v.failedOwn, loss)
			}
		case !known || end.early(loss, l.drainTimeout):
			v.cutEarly = append(v.cutEarly, loss)
		case end.killed:
			v.byKill++
		default:
			v.cutLate++
		}
	}
	for egress := range maps.Keys(l.inUse) {
		for _, s := range []sight{{egress, false}, {egress, true}} {
			if !l.seen[s] {
				v.unseen = append(v.unseen, s)
			}
		}
	}
	return v
}

// excuseOf is the index of the excuse of a new connection that failed, of which so many are used;
// -1 if there is none.
func (l *ledger) excuseOf(failed loss, used []uint64) int {
	for i, e := range l.excuses {
		if failed.number == e.number && failed.at.After(e.from) && failed.opened.Before(e.to) && used[i] < e.most {
			return i
		}
	}
	return -1
}

// visited returns the first answer and the last opening of new connections to an egress address, at
// the common port or at the address's own.
func (l *ledger) visited(to sight) (first, last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.visits {
		if v.egress != to.egress || (v.number != anyAddress) != to.own {
			continue
		}
		if first.IsZero() || v.answered.Before(first) {
			first = v.answered
		}
		if v.opened.After(last) {
			last = v.opened
		}
	}
	return first, last
}

// visitsOf counts the new connections at an address's port that were opened in a span and served.
func (l *ledger) visitsOf(number int, from, to time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.visits {
		if v.number == number && v.opened.After(from) && v.opened.Before(to) {
			n++
		}
	}
	return n
}
