package local

import (
	"fmt"
	"time"
)

// Kind says what happened.
type Kind string

// What happens in a fleet.
const (
	// Started: the task's programs run, and the load balancer begins to check it.
	Started Kind = "started"
	// Serving: the task is healthy and gets connections.
	Serving Kind = "serving"
	// Draining: the task is being deregistered.
	Draining Kind = "draining"
	// Stopping: the task gets SIGTERM.
	Stopping Kind = "stopping"
	// Killed: the task outlived its stop timeout and gets SIGKILL.
	Killed Kind = "killed"
	// Ended: the task's programs are gone. Detail says how they ended.
	Ended Kind = "ended"
	// Lost: a task in service ended unasked; a replacement starts.
	Lost Kind = "lost"
	// RotationBegan and RotationEnded enclose a rotation. RotationFailed: new tasks did not come
	// into service. Detail says why, and the old ones stay.
	RotationBegan  Kind = "rotation began"
	RotationEnded  Kind = "rotation ended"
	RotationFailed Kind = "rotation failed"
	// RotationLeftOut: one was due while the last was not over. Who plans rotations reports it.
	RotationLeftOut Kind = "rotation left out"
)

// Event is something that happened.
type Event struct {
	// Time is when it began: whatever follows from it comes later.
	Time time.Time `json:"time"`
	Kind Kind      `json:"event"`
	// Task is the task that it happened to; nil for an event of the fleet.
	Task *TaskStatus `json:"task,omitempty"`
	// Detail says more, or is empty.
	Detail string `json:"detail,omitempty"`
}

// String is one line without the time.
func (e Event) String() string {
	line := string(e.Kind)
	if e.Task != nil {
		line = fmt.Sprintf("%s %s %s", e.Task.ID, e.Task.Address, e.Kind)
	}
	if e.Detail != "" {
		line += ": " + e.Detail
	}
	return line
}

// report reports an event that begins now.
func (f *Fleet) report(kind Kind, t *task, detail string) {
	if f.o.Report == nil {
		return
	}
	f.reporting.Lock()
	defer f.reporting.Unlock()
	e := Event{Time: time.Now(), Kind: kind, Detail: detail}
	if t != nil {
		f.mu.Lock()
		status := f.status(t)
		f.mu.Unlock()
		e.Task = &status
	}
	f.o.Report(e)
}
