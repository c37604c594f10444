// Command synth measures how long a synth takes, with empty caches and with warm ones, and how much
// of it is the staging of the image's build context. It runs in the project's directory.
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
	coldSynth, warmSynth, err := measure("synth", func() error { return synth(ctx, top, cold) })
	if err != nil {
		return err
	}
	os.Setenv("GOCACHE", filepath.Join(top, "gocache-staging"))
	coldStage, warmStage, err := measure("staging", func() error { return stage(ctx, top) })
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
		coldSynth, warmSynth, coldStage, warmStage)
	fmt.Print(report)
	return bench.Report(".", "synth", report)
}

// measure returns the seconds of f's first run, with empty caches, and the median of the others.
func measure(what string, f func() error) (cold, warm float64, err error) {
	var seconds []float64
	for i := range 1 + warmRuns {
		fmt.Fprintf(os.Stderr, "%s, run %d of %d, the first with empty caches ...\n", what, i+1, 1+warmRuns)
		begin := time.Now()
		if err := f(); err != nil {
			return 0, 0, err
		}
		seconds = append(seconds, time.Since(begin).Seconds())
	}
	return seconds[0], bench.Median(seconds[1:]), nil
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
