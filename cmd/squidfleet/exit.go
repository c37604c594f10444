package main

import (
	"context"
	"errors"
	"fmt"

	"squidfleet/internal/operator"
)

// Exit codes, as the help of the root command has them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3   // and what squidfleet doctor found
	exitInterrupted = 130 // what a shell says of a program that SIGINT ended
	exitUnread      = 141 // what it says of one that SIGPIPE ended
)

// failure is an error of a command that talks to AWS, with what its explanation needs.
type failure struct {
	err     error
	options operator.Options
}

func (f *failure) Error() string { return operator.Explain(f.err, f.options) }
func (f *failure) Unwrap() error { return f.err }

// unfinished is an error after which there is a result all the same.
type unfinished struct {
	error
	changes []*operator.Change
}

func (u *unfinished) Unwrap() error { return u.error }

// exitCode writes the error, if there is one, and returns the program's exit code.
func (s *streams) exitCode(err error) int {
	s.endProgress()
	if unwritten := failed(s.out); unwritten != nil && (err == nil || errors.Is(err, errFound)) {
		err = unwritten
	}
	if err == nil {
		return exitDone
	}
	var wrong *usageError
	var refused *operator.Refusal
	code := exitFailed
	switch {
	case errors.As(err, &wrong):
		code = exitUsage
	case errors.As(err, &refused):
		code = exitRefused
	case s.unread():
		return exitUnread // There is nobody to tell.
	case errors.Is(err, errFound):
		return exitRefused // What was found has been written.
	case errors.Is(err, context.Canceled):
		code = exitInterrupted
	}
	s.tell(err)
	return code
}

// tell writes an error for people, and one for programs that asked for JSON.
func (s *streams) tell(err error) {
	fmt.Fprintf(s.err, "squidfleet: %v\n", err)
	var u *unfinished
	switch {
	case !s.asJSON:
	case errors.As(err, &u):
		_ = s.json(changed{u.changes, err.Error()}, "  ")
	default:
		_ = s.json(map[string]string{"error": err.Error()}, "")
	}
}
