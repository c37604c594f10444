// Command synth measures how long a synth takes, with empty caches and with warm ones, beside the
// same stacks in TypeScript. It runs in the project's directory.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"squidfleet/internal/bench"
	"squidfleet/internal/logquery"
)

const warmRounds = 7

// The limits are what synth is to keep on two cores: seconds, and the ratio to TypeScript.
const coldLimit, warmLimit, ratioLimit = 60, 4, 1.2

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

// app is one of the programs that make the same stacks.
type app struct {
	name           string
	dir            string
	command        string // "" is cdk.json's
	out            string
	environment    []string
	seconds, spent []float64 // of the warm rounds: elapsed, and processor time
}

func run(ctx context.Context) error {
	top, err := os.MkdirTemp("", "squidfleet-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	ours := &app{name: "squidfleet", dir: ".", out: filepath.Join(top, "cdk.out"), environment: append(os.Environ(),
		"GOCACHE="+filepath.Join(top, "gocache"),
		"JSII_RUNTIME_PACKAGE_CACHE_ROOT="+filepath.Join(top, "jsii"),
		"TMPDIR="+top, // what an interrupted compilation leaves goes with the rest
	)}
	theirDir := filepath.Join(top, "typescript")
	typescript := func(name, command string) *app {
		return &app{name: name, dir: theirDir, command: command, out: filepath.Join(theirDir, "cdk.out")}
	}
	theirs := typescript("TypeScript", "npx tsc && npx tsx fleet.ts")
	apps := []*app{ours, theirs, typescript("types not checked", "node fleet.ts")}

	fmt.Fprintln(os.Stderr, "synth with empty caches ...")
	ourCold, _, err := ours.synth(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "npm ci and synth in TypeScript ...")
	if err := prepare(theirDir, ours.out); err != nil {
		return err
	}
	theirInstall, _, err := timed(ctx, theirDir, nil, "npm", "ci", "--no-audit", "--no-fund")
	if err != nil {
		return err
	}
	theirCold, _, err := theirs.synth(ctx)
	if err != nil {
		return err
	}
	if err := same(ours.out, theirs.out); err != nil {
		return err
	}
	for round := range warmRounds {
		fmt.Fprintf(os.Stderr, "warm, round %d of %d ...\n", round+1, warmRounds)
		for _, a := range apps {
			seconds, spent, err := a.synth(ctx)
			if err != nil {
				return err
			}
			a.seconds, a.spent = append(a.seconds, seconds), append(a.spent, spent)
		}
	}

	warm := bench.Median(ours.seconds)
	ratio := warm / bench.Median(theirs.seconds)
	var report strings.Builder
	fmt.Fprintf(&report, "## Synth\n\n`make bench` (internal/bench/synth), %s, %d cores: `cdk synth` once with "+
		"empty caches (Go's build\ncache and jsii's package cache; modules are downloaded already), then medians of "+
		"%d rounds in turns. TypeScript: the same\nresources, checked and run as `cdk init` sets an app up, and run "+
		"by Node.js alone, which does not check types. It does\nnot compile the image's entrypoint, and its first run "+
		"follows `npm ci`. The limits are what synth is to keep.\n\n", runtime.Version(), runtime.NumCPU(), warmRounds)
	report.WriteString("| | squidfleet | TypeScript | ratio | types not checked | ratio | limit |\n" +
		"|---|---|---|---|---|---|---|\n")
	fmt.Fprintf(&report, "| empty caches, s | %.1f | %.1f + %.1f | **%.2f** | | | %s |\n",
		ourCold, theirInstall, theirCold, ourCold/(theirInstall+theirCold), kept(ourCold, coldLimit))
	row := func(what, limit string, of func(*app) []float64) {
		var medians [3]float64
		for i, a := range apps {
			medians[i] = bench.Median(of(a))
		}
		fmt.Fprintf(&report, "| %s | %.2f | %.2f | **%.2f** | %.2f | **%.2f** | %s |\n", what, medians[0], medians[1],
			medians[0]/medians[1], medians[2], medians[0]/medians[2], limit)
	}
	row("warm, s", kept(warm, warmLimit)+"; ratio "+kept(ratio, ratioLimit),
		func(a *app) []float64 { return a.seconds })
	row("warm, processor time, s", "", func(a *app) []float64 { return a.spent })
	fmt.Print(report.String())
	return bench.Report(".", "synth", report.String())
}

func kept(value, limit float64) string {
	if value > limit {
		return fmt.Sprintf("%v: **not kept**", limit)
	}
	return fmt.Sprintf("%v: kept", limit)
}

func (a *app) synth(ctx context.Context) (seconds, spent float64, err error) {
	arguments := []string{"synth", "--quiet", "--output", a.out}
	if a.command != "" {
		arguments = append(arguments, "--app", a.command)
	}
	return timed(ctx, a.dir, a.environment, "cdk", arguments...)
}

// timed returns the seconds that a command took, and those of the processors.
func timed(ctx context.Context, dir string, environment []string, name string, arguments ...string,
) (seconds, spent float64, err error) {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir, command.Env, command.Stderr = dir, environment, os.Stderr
	// The CLI passes an interrupt on to what it runs.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	begin := time.Now()
	if err := command.Run(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", name, err)
	}
	state := command.ProcessState
	return time.Since(begin).Seconds(), (state.UserTime() + state.SystemTime()).Seconds(), nil
}

// prepare copies the app in TypeScript to dir. It gets the context of our own, the image's build
// context from our assembly, and the saved queries.
func prepare(dir, assembly string) error {
	if err := os.CopyFS(dir, os.DirFS("internal/bench/synth/typescript")); err != nil {
		return err
	}
	image, err := filepath.Glob(filepath.Join(assembly, "asset.*"))
	if err != nil || len(image) != 1 {
		return fmt.Errorf("%s has %d images, want one", assembly, len(image))
	}
	text, err := os.ReadFile("cdk.json")
	if err != nil {
		return err
	}
	var file struct {
		Context map[string]any `json:"context"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	queries, err := json.Marshal(logquery.Queries)
	if err != nil {
		return err
	}
	file.Context["bench:image"], file.Context["bench:queries"] = image[0], string(queries)
	if text, err = json.Marshal(file); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cdk.json"), text, 0o644)
}

// same returns an error if two assemblies have not the same resources.
func same(ours, theirs string) error {
	for _, name := range []string{"Squidfleet-Network.template.json", "Squidfleet-Proxy.template.json"} {
		want, err := types(filepath.Join(ours, name))
		if err != nil {
			return err
		}
		got, err := types(filepath.Join(theirs, name))
		if err != nil {
			return err
		}
		if len(want) == 0 || !maps.Equal(got, want) {
			return fmt.Errorf("%s: in TypeScript the resources are %v, want %v", name, got, want)
		}
	}
	return nil
}

// types returns the types of a template's resources by their ids.
func types(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var template struct {
		Resources map[string]struct{ Type string }
	}
	err = json.Unmarshal(text, &template)
	all := map[string]string{}
	for id, resource := range template.Resources {
		all[id] = resource.Type
	}
	return all, err
}
