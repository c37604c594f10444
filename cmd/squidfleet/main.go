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
	"slices"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(arguments []string) int {
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	catchSignals(interrupt)
	s := newStreams(os.Stdout, os.Stderr)
	s.out, s.err = &watched{Writer: s.out, interrupt: interrupt}, &watched{Writer: s.err, interrupt: interrupt}
	root := newRoot(s)
	root.SetArgs(arguments)
	err := root.ExecuteContext(ctx)
	// Reading the flags may have ended before it.
	s.asJSON = s.asJSON || slices.Contains(arguments, "--json")
	return s.exitCode(err)
}
