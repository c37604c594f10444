// Command squidfleet is for whoever runs a fleet: it tells its egress addresses, changes them, tells how to use the fleet and shows its log. docs/squidfleet.md is its manual.
//
// # Output
//
// Data goes to stdout, and nothing else: a table for people or, with --json, JSON whose names are stable. Progress, remarks and errors go to stderr, an error as one line. Colours and
// a progress line that rewrites itself appear on terminals only, and never when NO_COLOR is set or TERM is dumb.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit code.
func run(arguments []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once, whatever it is putting back.
	context.AfterFunc(ctx, stop)
	s := newStreams(os.Stdout, os.Stderr)
	root := newRoot(s)
	root.SetArgs(arguments)
	return s.exitCode(root.ExecuteContext(ctx))
}
