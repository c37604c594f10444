// Package engine runs podman with a store of its own, for the tests and benchmarks of the image. It
// neither sees nor touches the machine's images and containers, and Close leaves nothing behind. It
// needs root, because the containers join the caller's network namespace.
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

	"golang.org/x/sys/unix"
)

// Engine is podman with a store below a directory.
type Engine struct {
	dir       string
	program   string
	variables []string // of its environment, beside this process's
}

// New makes an engine whose store is below dir, which must exist. It goes on with a store that is
// there already; only one engine at a time may use it.
func New(dir string) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("engine: needs root to join a network namespace: sudo -E env PATH=\"$PATH\" make test")
	}
	program, err := exec.LookPath("podman")
	runtime, missing := exec.LookPath("runc")
	if missing != nil {
		// sudo with the user's own PATH lacks Debian's directory of it.
		runtime, missing = exec.LookPath("/usr/sbin/runc")
	}
	if err := errors.Join(err, missing); err != nil {
		return nil, fmt.Errorf("engine: %w; `make setup` installs it on Debian and Ubuntu", err)
	}
	limits, err := Ulimits(fargateFiles)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	storage, containers := in("storage.conf"), in("containers.conf")
	for name, content := range map[string]string{
		storage:    fmt.Sprintf(storageConf, in("graph"), in("run")),
		containers: fmt.Sprintf(containersConf, strings.Join(limits, `", "`), runtime, in("tmp"), in("networks")),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("engine: %w", err)
		}
	}
	variables := []string{"CONTAINERS_CONF=" + containers, "CONTAINERS_STORAGE_CONF=" + storage}
	return &Engine{dir, program, variables}, nil
}

const storageConf = `[storage]
driver = "overlay"
graphroot = %q
runroot = %q
[storage.options.overlay]
skip_mount_home = "true"
`

// crun, podman's first choice, fails where control groups of both versions are mounted; runc works.
const containersConf = `[containers]
default_ulimits = ["%s"]
log_driver = "k8s-file"
[engine]
runtime = %q
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = %q
[network]
network_config_dir = %q
`

// fargateFiles is Fargate's own limit of open files.
const fargateFiles = 65535

// Ulimits returns podman's words for a limit of open files and one of processes, cut to what this
// process may give: podman's own defaults may be more than the machine permits.
func Ulimits(files uint64) ([]string, error) {
	var permittedFiles, permittedProcesses unix.Rlimit
	err := errors.Join(unix.Getrlimit(unix.RLIMIT_NOFILE, &permittedFiles),
		unix.Getrlimit(unix.RLIMIT_NPROC, &permittedProcesses))
	nofile := min(permittedFiles.Max, files)
	nproc := min(permittedProcesses.Max, 32768)
	return []string{fmt.Sprintf("nofile=%d:%d", nofile, nofile), fmt.Sprintf("nproc=%d:%d", nproc, nproc)}, err
}

// Run runs a podman command and returns its stdout. Its error holds stderr and the *exec.ExitError.
func (e *Engine) Run(ctx context.Context, arguments ...string) (string, error) {
	stdout, _, err := e.Output(ctx, arguments...)
	return stdout, err
}

// Output is Run that also returns stderr.
func (e *Engine) Output(ctx context.Context, arguments ...string) (stdout, stderr string, err error) {
	command := exec.CommandContext(ctx, e.program, arguments...)
	command.Env = append(os.Environ(), e.variables...)
	// Podman's monitor may leave a file here when a container runs out of memory.
	command.Dir = e.dir
	var out, messages bytes.Buffer
	command.Stdout, command.Stderr = &out, &messages
	if err := command.Run(); err != nil {
		said := strings.TrimSpace(messages.String())
		return out.String(), said, fmt.Errorf("podman %s: %w\n%s", strings.Join(arguments, " "), err, said)
	}
	return out.String(), messages.String(), nil
}

// Build builds the image of a build context with the machine's network. The first FROM is base,
// which PrepareBase returned; nothing is pulled.
func (e *Engine) Build(ctx context.Context, directory, base, tag string, options ...string) error {
	arguments := []string{"build", "--tag=" + tag, "--network=host", "--pull=never", "--from=" + base}
	_, err := e.Run(ctx, slices.Concat(arguments, options, []string{directory})...)
	return err
}

// Create makes a container in this process's network, does not start it, and returns its id.
func (e *Engine) Create(ctx context.Context, image string, options ...string) (id string, err error) {
	// Without the last option, podman from 4.7 on makes mounts over a read-only root read-only too.
	arguments := []string{"create", "--network=host", "--read-only-tmpfs=false"}
	id, err = e.Run(ctx, slices.Concat(arguments, options, []string{image})...)
	return strings.TrimSpace(id), err
}

// Remove ends containers at once and removes them and their volumes.
func (e *Engine) Remove(ctx context.Context, ids ...string) error {
	// Without a time, podman sends SIGTERM and waits.
	_, err := e.Run(ctx, append([]string{"rm", "--force", "--volumes", "--time=0"}, ids...)...)
	return err
}

// Close removes the containers in the store, the store, and its directory.
func (e *Engine) Close() error {
	ids, err := e.Run(context.Background(), "ps", "--all", "--quiet")
	if err == nil && ids != "" {
		err = e.Remove(context.Background(), strings.Fields(ids)...)
	}
	return errors.Join(err, os.RemoveAll(e.dir))
}

// Command returns the program and what it needs in its environment.
func (e *Engine) Command() (program string, variables []string) { return e.program, e.variables }
