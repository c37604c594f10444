package main

import (
	"bytes"
	"fmt"
	"sync"
	"time"
)

// A refusal costs its client nothing, and its line costs the log as much as any other. What the log
// takes is limited: beyond that, lines are dropped, those of users among them. So of each kind of
// refusal only so many lines a second are written, and the others are counted in a line of their
// own.
//
// A kind is the status, why credentials were refused ("auth"), and whether a user was named. There
// are a few dozen. Each has its own bound, so that challenges, which anybody can collect, hide no
// guess.
const refusalsASecond = 100

// refusals bounds the lines of refused strangers. The zero value needs a count.
type refusals struct {
	// count writes the rest of a line behind its egress address.
	count func(rest []byte)

	mu    sync.Mutex
	kinds map[string]*refusalKind
	timer *time.Timer
}

type refusalKind struct {
	user, auth, status string
	lines              int    // of this second
	suppressed         int    // of them, not written
	last               []byte // when the last of those was, as Squid tells it
}

var (
	deniedBegin = []byte("TCP_DENIED")
	unreadBegin = []byte("NONE") // Squid answered before it asked the rules
	nothing     = []byte("-")
)

// anyone stands for all users in a line that counts refusals.
const anyone = "*"

// suppress says whether a line is not to be written, and counts it then. It looks at requests that
// were refused before they showed right credentials, or because they did not. An authenticated
// request has a user and neither 407 nor 429: its line is always written.
func (r *refusals) suppress(line []byte) bool {
	result := member(line, resultBegin, '"')
	if !bytes.HasPrefix(result, deniedBegin) && !bytes.HasPrefix(result, unreadBegin) {
		return false
	}
	status, auth, user := member(line, statusBegin, ','), member(line, authBegin, '"'), nothing
	if !bytes.Equal(member(line, userBegin, '"'), nothing) {
		if string(status) != "407" && string(status) != "429" {
			return false
		}
		user = []byte(anyone)
	}
	var space [128]byte
	key := append(append(append(space[:0], user...), status...), auth...)
	r.mu.Lock()
	defer r.mu.Unlock()
	kind := r.kinds[string(key)]
	if kind == nil {
		if r.kinds == nil {
			r.kinds = map[string]*refusalKind{}
		}
		kind = &refusalKind{user: string(user), auth: string(auth), status: string(status)}
		r.kinds[string(key)] = kind
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(time.Second, r.turn)
	}
	kind.lines++
	if kind.lines <= refusalsASecond {
		return false
	}
	kind.suppressed++
	kind.last = append(kind.last[:0], member(line, timeBegin, '"')...)
	return true
}

// turn ends a second: it writes what was counted in it. Another begins with the next refusal.
func (r *refusals) turn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = nil
	for _, kind := range r.kinds {
		if kind.suppressed > 0 {
			r.count(fmt.Appendf(nil, `"time":"%s","user":"%s","auth":"%s","status":%s,"suppressed":%d}`+"\n",
				kind.last, kind.user, kind.auth, kind.status, kind.suppressed))
		}
		kind.lines, kind.suppressed = 0, 0
	}
}

// close writes what is left to be counted.
func (r *refusals) close() {
	r.mu.Lock()
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.turn()
}
