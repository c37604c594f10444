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
	exitRefused     = 3
	exitInterrupted = 130 // what a shell says of a program that SIGINT ended
)

// failure is an error of a command that talks to AWS, with what its explanation needs.
type failure struct {
	err     error
	options operator.Options
}

func (f *failure) Error() string { return operator.Explain(f.err, f.options) }
func (f *failure) Unwrap() error { return f.err }

// exitCode prints the error, if there is one, and says with what the program ends.
func (s *streams) exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	s.endProgress()
	fmt.Fprintf(s.err, "squidfleet: %v\n", err)
	var wrong *usageError
	var refused *operator.Refusal
	switch {
	case errors.As(err, &wrong):
		return exitUsage
	case errors.As(err, &refused):
		return exitRefused
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}
