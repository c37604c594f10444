package integration

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/params"
	"squidfleet/proxyimage"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// nobody runs the task; the image's user is unprivileged too.
const nobody = 65534

// squidTask is a running task: the built entrypoint and the real Squid in the staged directory.
type squidTask struct {
	Addr   netip.AddrPort
	Dir    string
	Params *params.Params

	command *exec.Cmd
	exited  chan struct{}
	output  rig.Buffer
	errors  rig.Buffer
}

// taskOptions are a task's differences from the default parameters.
type taskOptions struct {
	// Context holds stack parameters as in cdk.json.
	Context map[string]any
	Network proxyimage.Network
	// Passwords holds each user's password.
	Passwords map[string]string
	// Edit changes the staged squid.conf.
	Edit func(conf string) string
	// Environment is added to the entrypoint's.
	Environment []string
	// Prepare changes the staged directory before the start.
	Prepare func(dir string) error
}

// and returns the options with one more edit of the configuration, after the others.
func (o taskOptions) and(edit func(conf string) string) taskOptions {
	if first := o.Edit; first != nil {
		o.Edit = func(conf string) string { return edit(first(conf)) }
	} else {
		o.Edit = edit
	}
	return o
}

// stage writes the staged files of the parameters into a new directory that the task's user can
// read.
func stage(t testing.TB, o taskOptions) (string, *params.Params) {
	t.Helper()
	p, err := params.Parse(o.Context)
	must.OK(t, err)
	var credentials []squid.Credential
	if p.Credentials == container.CredentialsImage {
		for _, user := range p.Users {
			credentials = append(credentials, squid.Credential{User: user, Password: o.Passwords[user]})
		}
	}
	top, err := os.MkdirTemp("", "squidfleet-rig-") // the task's user may not enter t.TempDir
	must.OK(t, err)
	t.Cleanup(func() { os.RemoveAll(top) })
	must.OK(t, os.Chmod(top, 0o755))
	dir := filepath.Join(top, "context")
	staged := stagedOnce(t, p, o.Network, credentials)
	if out, err := exec.Command("cp", "-a", staged, dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	must.OK(t, os.Mkdir(filepath.Join(dir, container.Run), 0o700))
	// The Dockerfile gives these files to the image's user.
	owned := []string{container.Run}
	if p.Credentials == container.CredentialsImage {
		owned = append(owned, container.Passwords)
	}
	for _, name := range owned {
		must.OK(t, os.Chown(filepath.Join(dir, name), nobody, nobody))
	}
	if o.Edit != nil {
		path := filepath.Join(dir, "squid.conf")
		conf, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(o.Edit(string(conf))), 0o644)
		}
		must.OK(t, err)
	}
	if o.Prepare != nil {
		must.OK(t, o.Prepare(dir))
	}
	return dir, p
}

var staged sync.Map // functions that return a directory, by what is staged there

// stagedOnce returns a directory that holds the staged files of the parameters. Most tasks have the
// same ones, and each time Go would compile the entrypoint.
func stagedOnce(t testing.TB, p *params.Params, n proxyimage.Network, credentials []squid.Credential) string {
	t.Helper()
	once, _ := staged.LoadOrStore(fmt.Sprintf("%+v %v %q", *p, n, credentials), sync.OnceValues(func() (string, error) {
		dir := filepath.Join(scratch, rand.Text())
		return dir, proxyimage.Stage(context.Background(), dir, p, n, credentials)
	}))
	dir, err := once.(func() (string, error))()
	must.OK(t, err)
	return dir
}

// startTask stages and starts a task and waits until it accepts connections. The end of the test
// stops it.
func startTask(t testing.TB, o taskOptions) *squidTask {
	t.Helper()
	task, err := tryTask(t, o)
	must.OK(t, err)
	return task
}

// tryTask is startTask for a task that may not start.
func tryTask(t testing.TB, o taskOptions) (*squidTask, error) {
	t.Helper()
	dir, p := stage(t, o)
	task := &squidTask{
		Params: p, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(p.ListenerPort)),
		Dir: dir, exited: make(chan struct{}),
	}
	task.command = exec.Command(filepath.Join(dir, "entrypoint"))
	task.command.Dir = dir
	var credentials []squid.Credential
	for user, password := range o.Passwords {
		credentials = append(credentials, squid.Credential{User: user, Password: password})
	}
	task.command.Env = slices.Concat(proxyimage.Environ(p, credentials, rig.DigestKey), o.Environment, []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", container.EnvDir + "=" + dir,
		container.EnvEgressURL + "=" + container.EgressOff, container.EnvName + "=rig" + fmt.Sprint(p.ListenerPort)})
	task.command.Stdout, task.command.Stderr = &task.output, &task.errors
	task.command.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL, Setpgid: true,
	}
	must.OK(t, task.command.Start())
	go func() {
		task.command.Wait()
		close(task.exited)
	}()
	t.Cleanup(func() { task.Stop(t) })
	listens := must.Within(30*time.Second, func() bool {
		conn, err := net.DialTimeout("tcp", task.Addr.String(), time.Second)
		if err == nil {
			conn.Close()
		}
		_, ended := task.Ended()
		return err == nil || ended
	})
	if _, ended := task.Ended(); ended || !listens {
		return nil, fmt.Errorf("the task does not listen: %s\n%s", task.command.ProcessState, task.Errors())
	}
	return task, nil
}

// Signal sends a signal to the entrypoint.
func (task *squidTask) Signal(s syscall.Signal) error { return task.command.Process.Signal(s) }

// Wait waits for the entrypoint's end and returns its exit code.
func (task *squidTask) Wait(t testing.TB, atMost time.Duration) int {
	t.Helper()
	select {
	case <-task.exited:
		return task.command.ProcessState.ExitCode()
	case <-time.After(atMost):
		t.Fatalf("the task still runs after %s\n%s", atMost, task.Errors())
		return -1
	}
}

// Health runs the container's health check in the task. It returns an error if the task is
// unhealthy.
func (task *squidTask) Health() (output string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	check := exec.CommandContext(ctx, filepath.Join(task.Dir, container.Entrypoint), container.Health)
	check.Env = []string{container.EnvDir + "=" + task.Dir}
	text, err := check.CombinedOutput()
	return string(text), err
}

// Ended returns whether the task has ended, and its exit code.
func (task *squidTask) Ended() (code int, ended bool) {
	select {
	case <-task.exited:
		return task.command.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

// Stop ends the task and its children.
func (task *squidTask) Stop(t testing.TB) {
	t.Helper()
	if _, ended := task.Ended(); ended {
		return
	}
	task.command.Process.Signal(syscall.SIGINT)
	select {
	case <-task.exited:
	case <-time.After(10 * time.Second):
		task.Kill()
		t.Errorf("the task had to be killed\n%s", task.Errors())
	}
}

// Kill ends the task and its children without a delay, for tests that start many.
func (task *squidTask) Kill() {
	syscall.Kill(-task.command.Process.Pid, syscall.SIGKILL) // its own process group
	<-task.exited
}

// Pid is the entrypoint's process id.
func (task *squidTask) Pid() int { return task.command.Process.Pid }

// Log returns the lines of the access log so far.
func (task *squidTask) Log() []string { return task.output.Lines() }

// Errors returns standard error so far.
func (task *squidTask) Errors() string { return strings.TrimSuffix(task.errors.String(), "\n") }

// WaitForLog waits for a line of the access log that holds all the words, and returns it.
func (task *squidTask) WaitForLog(t testing.TB, words ...string) string {
	t.Helper()
	for range 5 {
		if at := logged(task, words...); at > 0 {
			return task.Log()[at-1]
		}
	}
	t.Fatalf("no line of the log has %q:\n%s", words, strings.Join(task.Log(), "\n"))
	return ""
}

// childrenOf are the children of a process whose program has a name.
func childrenOf(pid int, name string) []int {
	return slices.DeleteFunc(rig.Children(pid, "*"), func(child int) bool { return rig.Program(child) != name })
}
