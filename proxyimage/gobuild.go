package proxyimage

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"squidfleet/params"
)

// entrypointPackage is found by its import path, so that the current directory may be any inside the module.
var entrypointPackage = reflect.TypeFor[Network]().PkgPath() + "/entrypoint"

// toolchain is the go command with everything pinned that could change the program it makes.
type toolchain struct {
	path        string
	environment []string
}

func newToolchain(architecture params.Architecture, work string) (*toolchain, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("the go command compiles the entrypoint and is not there: %w; install Go and put it on PATH", err)
	}
	return &toolchain{path: path, environment: append(os.Environ(),
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture.GOARCH(), "GOAMD64=v1", "GOARM64=v8.0",
		// GOENV=off as well, or an empty value would fall back on what "go env -w" wrote.
		"GOENV=off", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off", "GODEBUG=",
		// Whatever becomes of the go command, its temporary files go with ours.
		"GOTMPDIR="+work,
	)}, nil
}

// run returns what the go command wrote to stdout.
func (t *toolchain) run(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, t.path, arguments...)
	command.Env = t.environment
	// An interrupted go command stops its compilers; a killed one leaves them behind.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(arguments, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// buildEntrypoint compiles the entrypoint to path: the same sources and the same toolchain make the same bytes, wherever.
func (t *toolchain) buildEntrypoint(ctx context.Context, path string) error {
	if _, err := t.run(ctx, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, entrypointPackage); err != nil {
		return fmt.Errorf("compile the entrypoint (inside the module's directory): %w", err)
	}
	return nil
}

// zoneinfo is the path of the time zone database that comes with Go: unlike the machine's, it is the same everywhere.
func (t *toolchain) zoneinfo(ctx context.Context) (string, error) {
	root, err := t.run(ctx, "env", "GOROOT")
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "lib", "time", "zoneinfo.zip"), nil
}
