// Command synth measures how long a synth takes, with empty caches and with warm ones, and how much
// of it is the staging of the image's build context. `make bench` runs it in the project's directory.
package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"squidfleet/internal/bench"
	"squidfleet/params"
	"squidfleet/proxyimage"
)

const warmRuns = 5

func main() {
	// What a run writes is large, and must go on Ctrl-C as well.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench synth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	top, err := os.MkdirTemp("", "squidfleet-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)

	cold := []string{
		"GOCACHE=" + filepath.Join(top, "gocache"),
		"JSII_RUNTIME_PACKAGE_CACHE_ROOT=" + filepath.Join(top, "jsii"),
		"TMPDIR=" + top, // what an interrupted compilation leaves goes with the rest
	}
	fmt.Fprintln(os.Stderr, "synth with empty caches ...")
	coldSynth, err := timed(func() error { return synth(ctx, top, cold) })
	if err != nil {
		return err
	}
	warmSynth, err := several("synth", func() error { return synth(ctx, top, cold) })
	if err != nil {
		return err
	}

	os.Setenv("GOCACHE", filepath.Join(top, "gocache-staging"))
	fmt.Fprintln(os.Stderr, "staging with an empty cache ...")
	coldStage, err := timed(func() error { return stage(ctx, top) })
	if err != nil {
		return err
	}
	warmStage, err := several("staging", func() error { return stage(ctx, top) })
	if err != nil {
		return err
	}

	report := fmt.Sprintf(`## Synth

`+"`make bench` (internal/bench/synth), %s, %d cores: "+
		"one run with empty caches (Go's build cache and jsii's package cache; modules are downloaded already), "+
		"then the median of %d runs with warm ones."+`

| | empty caches | warm |
|---|---|---|
| `+"`cdk synth`"+`, all of it | %.1f s | %.2f s |
| staging of the build context, in it | %.1f s | %.2f s |
`, runtime.Version(), runtime.NumCPU(), warmRuns,
		coldSynth.Seconds(), warmSynth.Seconds(), coldStage.Seconds(), warmStage.Seconds())
	fmt.Print(report)
	return bench.Report(".", "synth", report)
}

func several(what string, f func() error) (time.Duration, error) {
	var times []float64
	for i := range warmRuns {
		fmt.Fprintf(os.Stderr, "%s with warm caches, %d of %d ...\n", what, i+1, warmRuns)
		d, err := timed(f)
		if err != nil {
			return 0, err
		}
		times = append(times, float64(d))
	}
	return time.Duration(bench.Median(times)), nil
}

func timed(f func() error) (time.Duration, error) {
	begin := time.Now()
	err := f()
	return time.Since(begin), err
}

func synth(ctx context.Context, top string, env []string) error {
	out := filepath.Join(top, "cdk.out")
	defer os.RemoveAll(out)
	command := exec.CommandContext(ctx, "cdk", "synth", "--quiet", "--output", out)
	command.Env = append(os.Environ(), env...)
	command.Stderr = os.Stderr
	// The CLI passes an interrupt on to what it runs.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	return command.Run()
}

func stage(ctx context.Context, top string) error {
	p, err := params.Parse(nil)
	if err != nil {
		return err
	}
	dir := filepath.Join(top, "context")
	defer os.RemoveAll(dir)
	network := proxyimage.Network{
		LoadBalancerCidrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/28")},
		VpcCidrs:          []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
	}
	return proxyimage.Stage(ctx, dir, p, network, nil)
}
