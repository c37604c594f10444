// Package engine runs podman with a store of its own, for the tests and the benchmarks of the image: nothing of the machine's own images and containers
// is seen or touched, and closing it leaves nothing behind. It needs root, because the containers join the caller's network namespace.
package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Engine is podman with a store below a directory.
type Engine struct {
	dir     string
	podman  string
	environ []string
}

// New makes an engine whose store is below dir, which must exist; with a store there already, it is that one.
func New(dir string) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("engine: containers that join a network namespace need root: run this with sudo, for example `sudo -E env PATH=\"$PATH\" make test`")
	}
	podman, err := exec.LookPath("podman")
	if err != nil {
		return nil, fmt.Errorf("engine: %w; `make setup` installs it on Debian and Ubuntu", err)
	}
	e := &Engine{dir: dir, podman: podman, environ: append(os.Environ(),
		"CONTAINERS_CONF="+filepath.Join(dir, "containers.conf"),
		"CONTAINERS_STORAGE_CONF="+filepath.Join(dir, "storage.conf"),
	)}
	limits, err := Ulimits(fargateFiles)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	runtime := ""
	if path, err := exec.LookPath("runc"); err == nil {
		// crun, podman's first choice, fails where control groups of both versions are mounted; runc does not.
		runtime = fmt.Sprintf("runtime = %q\n", path)
	}
	for name, content := range map[string]string{
		"storage.conf": fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n[storage.options.overlay]\nskip_mount_home = \"true\"\n",
			filepath.Join(dir, "graph"), filepath.Join(dir, "run")),
		"containers.conf": fmt.Sprintf("[containers]\ndefault_ulimits = [\"%s\"]\nlog_driver = \"k8s-file\"\n[engine]\n%scgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nlock_type = \"file\"\ntmp_dir = %q\n[network]\nnetwork_config_dir = %q\n",
			strings.Join(limits, `", "`), runtime, filepath.Join(dir, "tmp"), filepath.Join(dir, "networks")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("engine: %w", err)
		}
	}
	return e, nil
}

// rlimitNproc is RLIMIT_NPROC of <sys/resource.h>, which package syscall lacks.
const rlimitNproc = 6

// fargateFiles is Fargate's own limit of open files.
const fargateFiles = 65535

// Ulimits are podman's words for a limit of open files, and for one of processes, as far as this process may give them; podman's own defaults may be more than the machine permits.
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

// Error is a podman command that failed.
type Error struct {
	Arguments []string
	Err       error  // an *exec.ExitError when podman ran
	Stderr    string // what podman, and what ran in the container, wrote there
}

func (e *Error) Error() string {
	return fmt.Sprintf("podman %s: %v\n%s", strings.Join(e.Arguments, " "), e.Err, strings.TrimSpace(e.Stderr))
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Run runs a podman command and returns what it wrote to stdout. Its error is an *Error.
func (e *Engine) Run(ctx context.Context, arguments ...string) (string, error) {
	stdout, _, err := e.Output(ctx, arguments...)
	return stdout, err
}

// Output is Run that also returns what the command wrote to stderr.
func (e *Engine) Output(ctx context.Context, arguments ...string) (stdout, stderr string, err error) {
	command := e.Command(ctx, arguments...)
	var out, messages bytes.Buffer
	command.Stdout, command.Stderr = &out, &messages
	if err := command.Run(); err != nil {
		return out.String(), messages.String(), &Error{arguments, err, messages.String()}
	}
	return out.String(), messages.String(), nil
}

// Command is a podman command that has not been started. It runs in the engine's directory: paths have to be absolute.
func (e *Engine) Command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, e.podman, arguments...)
	command.Env = e.environ
	// Where podman's monitor may leave a file when a container runs out of memory.
	command.Dir = e.dir
	return command
}

// Build builds the image of a build context, whose path is absolute, with the machine's network. It never pulls: the first FROM is base, which PrepareBase returned.
func (e *Engine) Build(ctx context.Context, directory, base, tag string, options ...string) error {
	arguments := append([]string{"build", "--pull=never", "--from=" + base, "--network=host", "--tag=" + tag}, options...)
	_, err := e.Run(ctx, append(arguments, directory)...)
	return err
}

// Close removes the engine's containers and its store, and the directory itself.
func (e *Engine) Close() error {
	_, err := e.Run(context.Background(), "rm", "--all", "--force", "--time=0")
	return errors.Join(err, os.RemoveAll(e.dir))
}
