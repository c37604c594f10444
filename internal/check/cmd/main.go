// Command cmd judges a synthesised CDK assembly; package check tells what it looks at.
//
//	go run ./internal/check/cmd [-context file] [-exceptions file] [assembly]
//
// Findings go to standard output, one a line: template: logical id: rule: message. Their number and the time that the check took go to standard error. The exit status is 0 without
// findings, 1 with some, and 2 when the check could not be made.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"squidfleet/internal/check"
)

func main() { os.Exit(run()) }

func run() int {
	lookups := flag.String("context", "cdk.context.json", "the `file` in which the CDK CLI keeps what it looked up")
	accepted := flag.String("exceptions", "internal/check/exceptions.json", "the `file` with the exceptions that are accepted")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: check [-context file] [-exceptions file] [assembly, or cdk.out]")
		flag.PrintDefaults()
	}
	flag.Parse()
	assembly := "cdk.out"
	switch flag.NArg() {
	case 0:
	case 1:
		assembly = flag.Arg(0)
	default:
		flag.Usage()
		return 2
	}
	start := time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exceptions, err := check.ReadExceptions(*accepted)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	findings, err := check.Run(ctx, check.Options{Assembly: assembly, Context: *lookups, Exceptions: exceptions, NodeModules: "."})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	for _, f := range findings {
		fmt.Println(f)
	}
	fmt.Fprintf(os.Stderr, "%s: %d findings in %.1f s\n", assembly, len(findings), time.Since(start).Seconds())
	if len(findings) > 0 {
		return 1
	}
	return 0
}
