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
	// Stopped: the address has no task and gets none until it is started. Detail says why if nobody
	// asked for it.
	Stopped Kind = "stopped"
	// RotationBegan and RotationEnded enclose an address's rotation. RotationFailed: the new task
	// did not come into service. Detail says why, and the old one stays.
	RotationBegan  Kind = "rotation began"
	RotationEnded  Kind = "rotation ended"
	RotationFailed Kind = "rotation failed"
	// RotationLeftOut: one was due, but the last was not over or the address was stopped.
	RotationLeftOut Kind = "rotation left out"
)

// Event is something that happened.
type Event struct {
	// Time is when it began: whatever follows from it comes later.
	Time time.Time `json:"time"`
	Kind Kind      `json:"event"`
	// Number and Port are the address's.
	Number int `json:"number"`
	Port   int `json:"port"`
	// Task is the task that it happened to; nil for an event of the address.
	Task *TaskStatus `json:"task,omitempty"`
	// Detail says more, or is empty.
	Detail string `json:"detail,omitempty"`
}

// String is one line without the time.
func (e Event) String() string {
	line := fmt.Sprintf("address %d, port %d: ", e.Number, e.Port)
	if e.Task != nil {
		line += e.Task.Address.String() + " "
	}
	line += string(e.Kind)
	if e.Detail != "" {
		line += ": " + e.Detail
	}
	return line
}

// report reports an event that begins now.
func (f *Fleet) report(kind Kind, s *service, t *task, detail string) {
	if f.o.Report == nil {
		return
	}
	f.reporting.Lock()
	defer f.reporting.Unlock()
	e := Event{Time: time.Now(), Kind: kind, Number: s.number, Port: s.port, Detail: detail}
	if t != nil {
		f.mu.Lock()
		status := f.status(t)
		f.mu.Unlock()
		e.Task = &status
	}
	f.o.Report(e)
}
