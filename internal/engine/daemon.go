package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits of the daemon's start and end, each of which takes about a second.
const (
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second
)

// daemon is a dockerd whose state is below a directory. The containers' network is that of the process that starts it.
type daemon struct {
	dir, program string
	limits       []string
	client       *flavour
	process      *os.Process   // nil while it does not run
	ended        chan struct{} // closed when process has
	made         []string      // directories of outside that were not there before it
}

// socket is where the daemon takes commands.
func socket(dir string) string { return filepath.Join(dir, "docker.sock") }

func configuration(dir string) string { return filepath.Join(dir, "daemon.json") }

func executionRoot(dir string) string { return filepath.Join(dir, "run") }

// outside are directories that no option moves elsewhere: they have the machine's settings and (before 23.0) a key, the sockets of plugins, containerd's own plugins, the sockets of the shims, each of
// which guards a container, and what runc knows of a build's containers.
var outside = []string{"/etc/docker", "/run/docker", "/opt", "/opt/containerd", "/run/containerd", "/run/containerd/s", "/run/runc"}

// hide begins a program with empty ones of its own in the place of three of them. In the others the names are no other daemon's, and the shims' are to be found by the next daemon when one was killed.
// These mounts are in a namespace of the program's, and so are those that it makes itself: none can be left over.
const hide = `for directory in /etc/docker /run/docker /opt/containerd; do mount -t tmpfs tmpfs "$directory" || exit; done; exec "$0" "$@"`

// The longest name of a socket below the directory, and containerd's own limit of one: some systems have no room for more.
const (
	longestSocket = "containerd/containerd-debug.sock"
	socketLimit   = 104
)

// fits says whether the names of the sockets below a directory are short enough.
func fits(dir string) error {
	if longest := filepath.Join(executionRoot(dir), longestSocket); len(longest) > socketLimit {
		return fmt.Errorf("%s: the directory's name is %d bytes too long for the daemon's sockets", dir, len(longest)-socketLimit)
	}
	return nil
}

func newDaemon(dir, program string, limits []string, client *flavour) (*daemon, error) {
	if err := fits(dir); err != nil {
		return nil, err
	}
	// With BuildKit, which a client before 23.0 uses if the daemon says so. A later one uses it if it has the plugin buildx, and its older builder else.
	if err := os.WriteFile(configuration(dir), []byte(`{"features": {"buildkit": true}}`), 0o600); err != nil {
		return nil, err
	}
	return &daemon{dir: dir, program: program, limits: limits, client: client}, nil
}

// arguments keep the daemon to its directory, and away from the machine's network.
func (d *daemon) arguments() []string {
	arguments := []string{
		"--config-file=" + configuration(d.dir), // or it takes the machine's /etc/docker/daemon.json
		"--data-root=" + filepath.Join(d.dir, "data"),
		"--exec-root=" + executionRoot(d.dir),
		"--pidfile=" + filepath.Join(d.dir, "docker.pid"),
		"--host=unix://" + socket(d.dir),
		"--group=0", // the socket's, instead of the machine's group docker
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--userland-proxy=false",
		"--exec-opt=native.cgroupdriver=cgroupfs",
		"--log-level=warn",
	}
	for _, limit := range d.limits {
		arguments = append(arguments, "--default-ulimit="+limit)
	}
	return arguments
}

func (d *daemon) start() error {
	if d.process != nil {
		return nil
	}
	if err := d.awaitNoOther(); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "dockerd.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	for _, directory := range outside {
		if err := os.Mkdir(directory, 0o711); err == nil {
			d.made = append(d.made, directory)
		} else if !errors.Is(err, fs.ErrExist) {
			return errors.Join(err, d.close())
		}
	}
	command := exec.Command("/bin/sh", append([]string{"-c", hide, d.program}, d.arguments()...)...)
	command.Dir, command.Stdout, command.Stderr = d.dir, log, log
	// It looks for containerd and runc there.
	command.Env = append(d.client.environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	command.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNS,
		Setpgid:      true,            // an interrupt from the terminal is not for it
		Pdeathsig:    syscall.SIGKILL, // what it leaves then is for the next one on the directory, see Close
	}
	started := make(chan error)
	d.ended = make(chan struct{})
	go func() {
		// It would end with the thread that started it, not with the process.
		runtime.LockOSThread()
		defer close(d.ended)
		err := command.Start()
		started <- err
		if err == nil {
			command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return errors.Join(err, d.close())
	}
	d.process = command.Process
	if err := d.awaitAnswer(); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s: %w\n%s", d.program, errors.Join(err, d.close()), said)
	}
	return nil
}

func (d *daemon) awaitAnswer() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		output, err := d.client.command(ctx, "version").CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-d.ended:
			return errors.New("ended instead of answering")
		case <-ctx.Done():
			return fmt.Errorf("does not answer: %w\n%s", err, output)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// awaitNoOther waits until the daemon that a process before had on the directory has ended, and its containerd. They do so after that process, and before they do, a second one would spoil the store.
func (d *daemon) awaitNoOther() error {
	for _, pidfile := range []string{filepath.Join(d.dir, "docker.pid"), filepath.Join(executionRoot(d.dir), "containerd", "containerd.pid")} {
		for deadline := time.Now().Add(stopTimeout); d.runs(pidfile); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				return fmt.Errorf("%s: another process has an engine in this directory", pidfile)
			}
		}
		// Its number may be some other program's by now.
		if err := os.Remove(pidfile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// runs tells whether the process that a file names is there and has been started for the directory.
func (d *daemon) runs(pidfile string) bool {
	content, err := os.ReadFile(pidfile)
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return false
	}
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(arguments), d.dir)
}

func (d *daemon) stop() error {
	if d.process == nil {
		return nil
	}
	process := d.process
	d.process = nil
	// An error says that it has ended.
	_ = process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
		return nil
	case <-time.After(stopTimeout):
		_ = process.Kill()
		<-d.ended
		return fmt.Errorf("%s: has not ended in %v and was killed", d.program, stopTimeout)
	}
}

// close ends the daemon and takes away what it has made outside of its directory.
func (d *daemon) close() error {
	err := d.stop()
	for _, directory := range slices.Backward(d.made) {
		// It stays if somebody else has put something into it.
		_ = os.Remove(directory)
	}
	d.made = nil
	return err
}
