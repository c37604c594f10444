package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// catchSignals makes a signal interrupt the commands instead of ending the program: local has to
// take away what it started, and the others say what goes on.
func catchSignals(interrupt context.CancelFunc) {
	caught := []os.Signal{os.Interrupt, syscall.SIGTERM}
	// The terminal is gone, or the connection to it; under nohup that does not matter.
	if !signal.Ignored(syscall.SIGHUP) {
		caught = append(caught, syscall.SIGHUP)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, caught...)
	go func() {
		<-signals
		interrupt()
		// A second signal ends the program at once, even while it cleans up. A second SIGHUP does
		// not: shell and kernel both send one when a connection drops.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
	}()
	// Writing to a closed pipe is then an error (see watched), and not the end. The signal itself
	// says nothing, because sockets cause it too. Programs that this one starts would inherit that
	// it is ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
