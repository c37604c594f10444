// Command squidfleet is for the operator of a fleet: it lists its egress addresses, changes them,
// says how to use the fleet and shows its log.
//
// # Output
//
// Stdout has data only: a table for people or, with --json, JSON whose names are stable. Progress,
// remarks and errors go to stderr, an error as one line; with --json it is also the member "error"
// of an object on stdout. Colours and a progress line that rewrites itself appear on terminals
// only, and never when NO_COLOR is set or TERM is dumb.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit code.
func run(arguments []string) int {
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	catchSignals(interrupt)
	s := newStreams(os.Stdout, os.Stderr)
	s.guard(interrupt)
	root := newRoot(s)
	root.SetArgs(arguments)
	cmd, err := root.ExecuteContextC(ctx)
	s.asJSON = asksForJSON(cmd, arguments)
	return s.exitCode(err)
}
