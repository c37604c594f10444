package stacks

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Run runs a synth, prints its error and returns the program's exit status: 0, or 1 after an
// error. A signal that ends the synth early gives 128 and its number, as in a shell. The CDK's
// Node.js has ended when Run returns.
func Run(synth func(context.Context) error) int {
	defer Close()
	return status(synth)
}

func status(synth func(context.Context) error) (code int) {
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, stop := signal.NotifyContext(interrupted, syscall.SIGTERM)
	defer stop()
	code = 1 // after a panic as well
	defer func() {
		if code == 0 || ctx.Err() == nil {
			return
		}
		recover() // Ctrl-C ends Node.js too, which panics here.
		code = 128 + int(syscall.SIGTERM)
		if interrupted.Err() != nil {
			code = 128 + int(syscall.SIGINT)
		}
	}()
	if err := synth(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
