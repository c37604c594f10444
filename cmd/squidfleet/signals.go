package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// catchSignals has a signal interrupt the commands instead of ending the program, because some have to put something back or take something away.
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
		// A second one ends the program at once, whatever it is putting back. A second SIGHUP does not: when a connection is dropped, shell and kernel both send one.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
	}()
	// So that writing to a closed pipe is an error, see guard, and not the end. The signal itself says nothing: sockets cause it, too. To ignore it would have programs that this one starts ignore it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
