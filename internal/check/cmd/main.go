// Command cmd judges a synthesised CDK assembly; package check says by what.
//
//	go run ./internal/check/cmd [-context file] [assembly]
//
// It runs in the project's directory. Findings go to standard output, one a line: file: rule:
// message. Their number and the time go to standard error. The exit status is 0 without
// findings, 1 with some, and 2 without a judgement.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"squidfleet/internal/check"
	"squidfleet/stacks"
)

func main() { os.Exit(run()) }

func run() int {
	lookups := flag.String("context", "cdk.context.json", "the `file` in which the CDK CLI keeps what it looked up")
	flag.Parse()
	if flag.NArg() > 1 {
		fmt.Fprintln(os.Stderr, "usage: check [-context file] [assembly, or cdk.out]")
		return 2
	}
	assembly, start := cmp.Or(flag.Arg(0), "cdk.out"), time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	defer stacks.Close()
	o := check.Options{Assembly: assembly, Context: *lookups, Root: ".", Environment: os.Environ()}
	findings, err := check.Run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	for _, f := range findings {
		fmt.Println(f)
	}
	fmt.Fprintf(os.Stderr, "%s: %d findings in %.1f s\n", assembly, len(findings), time.Since(start).Seconds())
	return min(len(findings), 1)
}
