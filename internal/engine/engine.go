// Package engine runs podman or docker with a store of its own, for the tests and the benchmarks of the image: nothing of the machine's own images and containers
// is seen or touched, and closing it leaves nothing behind. It needs root, because the containers join the caller's network namespace.
//
// It is podman where that is there with runc, docker where dockerd is there, and whichever of them SQUIDFLEET_ENGINE names. Of docker it starts a daemon of its own, which lives no longer than the
// process that has the engine.
package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Engine is a container engine with a store below a directory.
type Engine struct {
	dir string
	*flavour
}

// flavour is what podman and docker differ in.
type flavour struct {
	program   string   // what takes the commands
	inherited []string // what its commands have of this process's environment
	variables []string // what they have beside it
	daemon    *daemon  // nil where the commands do everything themselves
	// Options that only one of the engines knows or needs.
	create    []string // of create
	remove    []string // of rm, for not waiting until the containers end by themselves
	plainHTTP []string // of login and push, for a registry without TLS on loopback
	// from returns the options of a build that takes the base, which is in the store, for the Dockerfile's first FROM.
	from func(dockerfile, base string) ([]string, error)
}

// New makes an engine whose store is below dir, which must exist; with a store there already, it is that one. Only one engine at a time may have a store, see Stop.
func New(dir string) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("engine: containers that join a network namespace need root: run this with sudo, for example `sudo -E env PATH=\"$PATH\" make test`")
	}
	name, err := choose(os.Getenv(Variable), func(program string) bool {
		_, err := find(program)
		return err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e := &Engine{dir: dir}
	if e.flavour, err = map[string]func(dir string) (*flavour, error){podman: newPodman, docker: newDocker}[name](dir); err != nil {
		return nil, fmt.Errorf("engine: %s: %w", name, err)
	}
	if err := e.start(); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return e, nil
}

// rlimitNproc is RLIMIT_NPROC of <sys/resource.h>, which package syscall lacks.
const rlimitNproc = 6

// fargateFiles is Fargate's own limit of open files.
const fargateFiles = 65535

// Ulimits are an engine's words for a limit of open files, and for one of processes, as far as this process may give them; an engine's own defaults may be more than the machine permits.
func Ulimits(files uint64) ([]string, error) {
	var permittedFiles, permittedProcesses syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &permittedFiles); err != nil {
		return nil, err
	}
	if err := syscall.Getrlimit(rlimitNproc, &permittedProcesses); err != nil {
		return nil, err
	}
	nofile := min(permittedFiles.Max, files)
	nproc := min(permittedProcesses.Max, 32768)
	return []string{fmt.Sprintf("nofile=%d:%d", nofile, nofile), fmt.Sprintf("nproc=%d:%d", nproc, nproc)}, nil
}

// Error is a command of the engine that failed.
type Error struct {
	Program   string
	Arguments []string
	Err       error  // an *exec.ExitError when the program ran
	Stderr    string // what the program, and what ran in the container, wrote there
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s %s: %v\n%s", filepath.Base(e.Program), strings.Join(e.Arguments, " "), e.Err, strings.TrimSpace(e.Stderr))
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Run runs a command that both engines know and returns what it wrote to stdout. Its error is an *Error.
func (e *Engine) Run(ctx context.Context, arguments ...string) (string, error) {
	stdout, _, err := e.Output(ctx, arguments...)
	return stdout, err
}

// Output is Run that also returns what the command wrote to stderr.
func (e *Engine) Output(ctx context.Context, arguments ...string) (stdout, stderr string, err error) {
	command := e.command(ctx, arguments...)
	// Where podman's monitor may leave a file when a container runs out of memory.
	command.Dir = e.dir
	var out, messages bytes.Buffer
	command.Stdout, command.Stderr = &out, &messages
	if err := command.Run(); err != nil {
		return out.String(), messages.String(), &Error{e.program, arguments, err, messages.String()}
	}
	return out.String(), messages.String(), nil
}

func (f *flavour) command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, f.program, arguments...)
	command.Env = f.environ()
	return command
}

func (f *flavour) environ() []string { return slices.Concat(f.inherited, f.variables) }

// Build builds the image of a build context, whose path is absolute, with the machine's network. It never pulls: the first FROM is base, which PrepareBase returned.
func (e *Engine) Build(ctx context.Context, directory, base, tag string, options ...string) error {
	from, err := e.from(filepath.Join(directory, "Dockerfile"), base)
	if err != nil {
		return err
	}
	_, err = e.Run(ctx, slices.Concat([]string{"build", "--network=host", "--tag=" + tag}, from, options, []string{directory})...)
	return err
}

// Create makes a container in the network of this process, which is not started yet, and returns its id. Of the options it takes those that both engines know.
func (e *Engine) Create(ctx context.Context, image string, options ...string) (id string, err error) {
	id, err = e.Run(ctx, slices.Concat([]string{"create", "--network=host"}, e.create, options, []string{image})...)
	return strings.TrimSpace(id), err
}

// Remove ends containers at once and removes them and their volumes.
func (e *Engine) Remove(ctx context.Context, ids ...string) error {
	_, err := e.Run(ctx, slices.Concat([]string{"rm", "--force", "--volumes"}, e.remove, ids)...)
	return err
}

func (e *Engine) start() error {
	if e.daemon == nil {
		return nil
	}
	return e.daemon.start()
}

// Stop ends what the engine runs beside its containers. The store stays: it is the next engine's on the directory, which may be another process's in another network namespace, or Close's.
func (e *Engine) Stop() error {
	if e.daemon == nil {
		return nil
	}
	return e.daemon.stop()
}

// Close removes the engine's containers, those of other engines that had the directory included, and its store, and the directory itself.
func (e *Engine) Close() error {
	err := e.removeAll(context.Background())
	if e.daemon != nil {
		err = errors.Join(err, e.daemon.close())
	}
	return errors.Join(err, os.RemoveAll(e.dir))
}

func (e *Engine) removeAll(ctx context.Context) error {
	if err := e.start(); err != nil {
		return err
	}
	ids, err := e.Run(ctx, "ps", "--all", "--quiet")
	if err != nil || ids == "" {
		return err
	}
	return e.Remove(ctx, strings.Fields(ids)...)
}
