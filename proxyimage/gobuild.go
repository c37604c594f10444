package proxyimage

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"squidfleet/params"
)

// entrypointPackage is an import path, so that any current directory inside the module will do.
var entrypointPackage = reflect.TypeFor[Network]().PkgPath() + "/entrypoint"

// toolchain is the go command, with everything pinned that could change the programs it builds.
type toolchain struct {
	path        string
	environment []string
}

func newToolchain(architecture params.Architecture, work string) (*toolchain, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("the go command, which compiles the entrypoint, is not there: %w; "+
			"install Go and put it on PATH", err)
	}
	return &toolchain{path: path, environment: append(os.Environ(),
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture.GOARCH(), "GOAMD64=v1", "GOARM64=v8.0",
		// Without GOENV=off, an empty value falls back on what "go env -w" wrote.
		"GOENV=off", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off", "GODEBUG=",
		// The go command's temporary files are removed with ours, however it ends.
		"GOTMPDIR="+work,
	)}, nil
}

// run returns what the go command wrote to stdout.
func (t *toolchain) run(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, t.path, arguments...)
	command.Env = t.environment
	// An interrupted go command stops its compilers. A killed one leaves them running.
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

// buildEntrypoint compiles the entrypoint to path. The same sources and toolchain give the same
// bytes on any machine.
func (t *toolchain) buildEntrypoint(ctx context.Context, path string) error {
	_, err := t.run(ctx, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=",
		"-o", path, entrypointPackage)
	if err != nil {
		return fmt.Errorf("compile the entrypoint (inside the module's directory): %w", err)
	}
	return nil
}

// zone returns the TZif file of an IANA zone from Go's own database, which is the same everywhere,
// unlike the machine's.
func (t *toolchain) zone(ctx context.Context, name string) ([]byte, error) {
	root, err := t.run(ctx, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	database, err := zip.OpenReader(filepath.Join(root, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("Go's time zone database: %w; reinstall Go", err)
	}
	defer database.Close()
	content, err := fs.ReadFile(database, name)
	if err != nil {
		return nil, fmt.Errorf("timezone in Go's database: %w", err)
	}
	return content, nil
}
