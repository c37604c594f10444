package main

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
)

func TestSignalBeforeTheRestartIsNotForgotten(t *testing.T) {
	for _, c := range []struct {
		sent      syscall.Signal
		code      int
		restarted bool
	}{
		{syscall.SIGTERM, 143, false},
		{syscall.SIGINT, 130, false},
		{syscall.SIGHUP, exitFailure, true}, // there is nothing to pass it on to
	} {
		signals := make(chan os.Signal, 16)
		signal.Notify(signals, c.sent)
		if err := syscall.Kill(os.Getpid(), c.sent); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the signal", func() bool { return len(signals) > 0 })
		var restarted bool
		code := handOver(settings{}, signals, func() error { restarted = true; return nil })
		if code != c.code || restarted != c.restarted {
			t.Errorf("%v: exit code %d, restarted %t; want %d, %t", c.sent, code, restarted, c.code, c.restarted)
		}
	}
}
