// Command squidfleet is the CDK app. The CDK CLI runs it: it reads the parameters from the CDK's
// context and writes the stacks of a fleet into an assembly.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"squidfleet/params"
	"squidfleet/proxyimage"
	"squidfleet/stacks"
)

func main() { os.Exit(stacks.Run(synth)) }

// synth writes the assembly, or returns an error and leaves the last one as it was.
func synth(ctx context.Context) (err error) {
	app, err := stacks.NewApp("", nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Discard()) }()
	p, err := params.Parse(app.Node().GetAllContext(nil).(map[string]any))
	if err != nil {
		return err
	}
	passwords, err := proxyimage.Passwords(p, os.Environ())
	if err != nil {
		return err
	}
	input := stacks.Input{
		Params:    p,
		Passwords: passwords,
		Account:   os.Getenv("CDK_DEFAULT_ACCOUNT"),
		Region:    os.Getenv("CDK_DEFAULT_REGION"),
	}
	if err := input.Add(ctx, app); err != nil {
		return err
	}
	for _, warning := range slices.Concat(p.Warnings(), proxyimage.PasswordWarnings(p, os.Environ())) {
		fmt.Fprintln(os.Stderr, "warning:", warning)
	}
	return app.Synth()
}
