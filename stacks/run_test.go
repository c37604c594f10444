package stacks

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
)

func TestASignalIsTheExitStatusOfWhatItEnds(t *testing.T) {
	signalled := func(signal syscall.Signal, end func() error) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := syscall.Kill(os.Getpid(), signal); err != nil {
				t.Error(err)
			}
			<-ctx.Done()
			return end()
		}
	}
	failed := func() error { return errors.New("an error of the test") }
	panicked := func() error { panic("Node.js is gone") }
	done := func() error { return nil }
	for _, c := range []struct {
		name  string
		synth func(context.Context) error
		want  int
	}{
		{"done", func(context.Context) error { return nil }, 0},
		{"failed", func(context.Context) error { return failed() }, 1},
		{"interrupted", signalled(syscall.SIGINT, failed), 130},
		{"interrupted in the CDK", signalled(syscall.SIGINT, panicked), 130},
		{"terminated", signalled(syscall.SIGTERM, failed), 143},
		{"terminated in the CDK", signalled(syscall.SIGTERM, panicked), 143},
		{"done before it noticed", signalled(syscall.SIGTERM, done), 0},
	} {
		if got := status(c.synth); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a panic of the program's own is hidden")
		}
	}()
	status(func(context.Context) error { panic("a mistake") })
}

func TestUsersOptionsOfNodeStay(t *testing.T) {
	for user, want := range map[string]string{
		"":                                  "--v8-pool-size=1 --max-old-space-size=4069",
		"--max-old-space-size=800":          "--v8-pool-size=1 --max-old-space-size=800",
		"--trace-warnings --v8-pool-size=4": "--trace-warnings --v8-pool-size=4",
	} {
		if got := nodeOptions(user); got != want {
			t.Errorf("with %q: %q, want %q", user, got, want)
		}
	}
}
