// Command squidfleet is the CDK app, which the CDK's command line runs: from the parameters in the CDK's context it writes the stacks of a fleet into an assembly.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"squidfleet/params"
	"squidfleet/proxyimage"
	"squidfleet/stacks"
)

func main() { os.Exit(run()) }

// run returns the exit status, so that nothing leaves the program past the end of the CDK's Node.js.
func run() (code int) {
	defer stacks.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer func() {
		// Ctrl-C ends Node.js as well, and that is a panic here. What was staged is gone by now.
		if ctx.Err() != nil {
			recover()
			code = 128 + int(syscall.SIGINT)
		}
	}()
	if err := synth(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// synth writes the assembly, or returns an error and leaves the last one as it was.
func synth(ctx context.Context) error {
	app := stacks.NewApp("", nil)
	values, ok := app.Node().GetAllContext(nil).(map[string]any)
	if !ok {
		return errors.New("cdk.json: the context is not an object")
	}
	p, err := params.Parse(values)
	if err != nil {
		return err
	}
	passwords, err := proxyimage.Passwords(p, os.LookupEnv)
	if err != nil {
		return err
	}
	fleet := stacks.Fleet{Params: p, Passwords: passwords, Account: os.Getenv("CDK_DEFAULT_ACCOUNT"), Region: os.Getenv("CDK_DEFAULT_REGION")}
	if err = fleet.Add(ctx, app); err == nil {
		err = stacks.Synth(app)
	}
	return err
}
