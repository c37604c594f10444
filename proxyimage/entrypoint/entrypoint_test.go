package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// program is the built entrypoint.
var program string

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == fakeName {
		os.Exit(fakeSquid(os.Args[1:]))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	directory, err := os.MkdirTemp("", "entrypoint")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(directory)
	program = filepath.Join(directory, "entrypoint")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the entrypoint: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// rig is a working directory with a fake Squid.
type rig struct {
	t           *testing.T
	directory   string
	environment []string
	umask       int            // -1: as it is
	clients     netip.AddrPort // where the fake listens
}

func newRig(t *testing.T, todo script, environment ...string) *rig {
	t.Helper()
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, container.Run), 0o700); err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(todo)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, scriptFile), content, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fake := filepath.Join(directory, fakeName)
	if err := os.Symlink(self, fake); err != nil {
		t.Fatal(err)
	}
	// An address of its own on the loopback interface, so that the port is free.
	b := make([]byte, 3)
	rand.Read(b)
	clients := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1 + b[0]%254, b[1], 1 + b[2]%254}), 35201)
	conf := fmt.Sprintf("# A comment.\nhttp_port %s require-proxy-header\nhttp_port 127.0.0.1:1 require-proxy-header name=health\n", clients)
	if err := os.WriteFile(filepath.Join(directory, container.SquidConf), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, directory: directory, umask: -1, clients: clients, environment: append([]string{
		container.EnvDir + "=" + directory,
		container.EnvSquid + "=" + fake,
		container.EnvEgressURL + "=" + container.EgressOff,
		container.EnvDigest + "=" + string(squid.DigestSquid),
	}, environment...)}
}

// collected is output that can be read while it grows.
type collected struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (c *collected) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.content.Write(p)
}

func (c *collected) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.content.String()
}

// process is a running entrypoint.
type process struct {
	t       *testing.T
	command *exec.Cmd
	stdout  *collected
	stderr  *collected
	ready   chan struct{} // closed when the fake serves
	copied  chan struct{}
	waited  bool
}

func (r *rig) start(arguments ...string) *process {
	r.t.Helper()
	command := exec.Command(program, arguments...)
	if r.umask >= 0 {
		command = exec.Command("sh", append([]string{"-c", fmt.Sprintf(`umask %04o; exec "$0" "$@"`, r.umask), program}, arguments...)...)
	}
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, r.environment...)
	p := &process{t: r.t, command: command, stdout: new(collected), stderr: new(collected), ready: make(chan struct{}), copied: make(chan struct{})}
	read, write, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	command.Stdout = write
	command.Stderr = p.stderr
	if err := command.Start(); err != nil {
		r.t.Fatal(err)
	}
	write.Close()
	go func() {
		defer close(p.copied)
		defer read.Close()
		buffer := make([]byte, 4096)
		for open := true; open; {
			n, err := read.Read(buffer)
			open = err == nil
			p.stdout.Write(buffer[:n])
			select {
			case <-p.ready:
			default:
				if strings.Contains(p.stdout.String(), readyLine) {
					close(p.ready)
				}
			}
		}
	}()
	r.t.Cleanup(func() {
		if !p.waited {
			command.Process.Kill()
			command.Wait()
		}
	})
	return p
}

func (p *process) waitReady() {
	p.t.Helper()
	select {
	case <-p.ready:
	case <-p.copied:
		p.t.Fatalf("ended before Squid served; stderr:\n%s", p.stderr)
	case <-time.After(30 * time.Second):
		p.t.Fatal("Squid does not serve")
	}
}

// wait returns the exit code, or minus the number of the signal that ended the process.
func (p *process) wait() int {
	p.t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { p.command.Process.Kill() })
	defer timer.Stop()
	err := p.command.Wait()
	p.waited = true
	<-p.copied
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	status := p.command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return -int(status.Signal())
	}
	return status.ExitStatus()
}

func (r *rig) called(name string) call {
	r.t.Helper()
	content, err := os.ReadFile(filepath.Join(r.directory, name))
	if err != nil {
		r.t.Fatal(err)
	}
	var c call
	if err := json.Unmarshal(content, &c); err != nil {
		r.t.Fatal(err)
	}
	return c
}

const credentialsInImage = container.EnvCredentials + "=" + string(container.CredentialsImage)

// secrets is a complete environment of the other mode.
var secrets = []string{
	container.EnvCredentials + "=" + string(container.CredentialsSecretsManager),
	container.EnvRealm + "=squidfleet",
	container.EnvUsers + "=alice,bob-2",
	container.EnvPassword + "ALICE=open sesame",
	container.EnvPassword + "BOB_2=swordfish",
}

func TestSquidIsCheckedThenStarted(t *testing.T) {
	r := newRig(t, script{ExitNow: true}, append([]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x", "HOME=/root", "SQUIDFLEET_NAME=second"}, secrets...)...)
	p := r.start()
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d, stderr:\n%s", code, p.stderr)
	}
	for name, arguments := range map[string][]string{
		checkFile: {"-k", "parse", "-f", "squid.conf"},
		runFile:   {"-n", "second", "-N", "-f", "squid.conf"},
	} {
		c := r.called(name)
		if !slices.Equal(c.Arguments[1:], arguments) {
			t.Errorf("%s: arguments %q, want %q", name, c.Arguments[1:], arguments)
		}
		if c.Directory != r.directory {
			t.Errorf("%s: working directory %s, want %s", name, c.Directory, r.directory)
		}
		want := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=:" + filepath.Join(r.directory, "localtime")}
		if !slices.Equal(c.Environment, want) {
			t.Errorf("%s: environment %q, want %q", name, c.Environment, want)
		}
	}
}

func TestPasswordFileIsWrittenBeforeTheCheck(t *testing.T) {
	want, err := squid.PasswordFile(squid.DigestSquid, "squidfleet", []squid.Credential{{User: "alice", Password: "open sesame"}, {User: "bob-2", Password: "swordfish"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, umask := range []int{0, 0o777} {
		t.Run(fmt.Sprintf("umask %04o", umask), func(t *testing.T) {
			r := newRig(t, script{ExitNow: true}, secrets...)
			run := filepath.Join(r.directory, container.Run)
			// What an earlier start wrote, and what one that was killed left behind.
			for _, name := range []string{"passwords", "passwords.new"} {
				if err := os.WriteFile(filepath.Join(run, name), []byte("mallory:squidfleet:00000000000000000000000000000000\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r.umask = umask
			p := r.start()
			if code := p.wait(); code != 0 {
				t.Fatalf("exit code %d, stderr:\n%s", code, p.stderr)
			}
			if got := r.called(checkFile).Passwords; got != string(want) {
				t.Errorf("password file at the check:\n%s\nwant:\n%s", got, want)
			}
			entries, err := os.ReadDir(run)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != 1 || entries[0].Name() != "passwords" {
				t.Errorf("run/ holds %v, want passwords alone", entries)
			}
			info, err := os.Stat(filepath.Join(run, "passwords"))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o600 {
				t.Errorf("mode %v, want 0600", info.Mode())
			}
		})
	}
}

// nonceKey is a key of the nonces.
const nonceKey = "0123456789abcdefghijklmnopqrstuvwxyz-key1"

func TestKeyFileIsWritten(t *testing.T) {
	const keys = nonceKey + " " + nonceKey + "-old"
	for _, umask := range []int{0, 0o777} {
		t.Run(fmt.Sprintf("umask %04o", umask), func(t *testing.T) {
			r := newRig(t, script{ExitNow: true}, credentialsInImage, container.EnvDigest+"="+string(squid.DigestFleet), container.EnvDigestKeys+"="+keys)
			run := filepath.Join(r.directory, container.Run)
			// What an earlier start wrote, and what one that was killed left behind.
			for _, name := range []string{"keys", "keys.new"} {
				if err := os.WriteFile(filepath.Join(run, name), []byte("another"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r.umask = umask
			p := r.start()
			if code := p.wait(); code != 0 {
				t.Fatalf("exit code %d, stderr:\n%s", code, p.stderr)
			}
			entries, err := os.ReadDir(run)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != 1 || entries[0].Name() != "keys" {
				t.Errorf("run/ holds %v, want keys alone", entries)
			}
			info, err := os.Stat(filepath.Join(run, "keys"))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o600 {
				t.Errorf("mode %v, want 0600", info.Mode())
			}
			if content, err := os.ReadFile(filepath.Join(run, "keys")); err != nil || string(content) != keys {
				t.Errorf("the file holds %q, %v", content, err)
			}
		})
	}
}

func TestSecretsLeaveTheProcess(t *testing.T) {
	r := newRig(t, script{}, append([]string{"KEPT=yes", container.EnvDigest + "=" + string(squid.DigestFleet), container.EnvDigestKeys + "=" + nonceKey}, secrets...)...)
	p := r.start()
	p.waitReady()
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(environ, []byte("KEPT=yes")) {
		t.Errorf("the environment lost a variable that is not ours: %q", environ)
	}
	for _, secret := range []string{"open sesame", "swordfish", nonceKey} {
		if bytes.Contains(environ, []byte(secret)) {
			t.Errorf("%q is still in the environment", secret)
		}
	}
	p.command.Process.Signal(syscall.SIGINT)
	p.wait()
}

func TestNothingIsStartedWithoutAWritableDirectory(t *testing.T) {
	r := newRig(t, script{ExitNow: true}, secrets...)
	run := filepath.Join(r.directory, container.Run)
	if err := os.Remove(run); err != nil {
		t.Fatal(err)
	}
	p := r.start()
	if code := p.wait(); code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	if !strings.Contains(p.stderr.String(), run) || !strings.Contains(p.stderr.String(), "can write to") {
		t.Errorf("stderr does not say which directory must be writable:\n%s", p.stderr)
	}
	r.neverCalled(checkFile)
}

func (r *rig) neverCalled(name string) {
	r.t.Helper()
	if _, err := os.Stat(filepath.Join(r.directory, name)); !errors.Is(err, fs.ErrNotExist) {
		r.t.Errorf("%s: Squid was started (%v)", name, err)
	}
}

func TestConfigurationThatSquidRefuses(t *testing.T) {
	r := newRig(t, script{CheckExit: 1, CheckOutput: "2026/01/02 03:04:05| Startup: Initializing Authentication Schemes ...\n" +
		"2026/01/02 03:04:05| Processing Configuration File: squid.conf (depth 0)\n" +
		"2026/01/02 03:04:05| Processing: bogus x\n" +
		"2026/01/02 03:04:05| squid.conf(9): unrecognized: 'bogus'\n" +
		"2026/01/02 03:04:05| Initializing https:// proxy context\n"}, credentialsInImage)
	p := r.start()
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d, want the check's, 1", code)
	}
	want := "2026/01/02 03:04:05| squid.conf(9): unrecognized: 'bogus'\nentrypoint: Squid refuses its configuration: exit status 1\n"
	if p.stderr.String() != want {
		t.Errorf("stderr:\n%s\nwant the reasons alone:\n%s", p.stderr, want)
	}
	r.neverCalled(runFile)
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name string
		todo script
		want int
	}{
		{"success", script{ExitNow: true}, 0},
		{"Squid's own code", script{ExitNow: true, Exit: 7}, 7},
		{"killed", script{KillItself: syscall.SIGKILL}, 137},
		{"ended by a signal", script{KillItself: syscall.SIGTERM}, 143},
		{"the check's own code", script{CheckExit: 3}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newRig(t, c.todo, credentialsInImage).start()
			if code := p.wait(); code != c.want {
				t.Errorf("exit code %d, want %d; stderr:\n%s", code, c.want, p.stderr)
			}
		})
	}
	t.Run("no Squid", func(t *testing.T) {
		r := newRig(t, script{}, credentialsInImage)
		if err := os.Remove(filepath.Join(r.directory, fakeName)); err != nil {
			t.Fatal(err)
		}
		p := r.start()
		if code := p.wait(); code != exitFailure {
			t.Errorf("exit code %d, want %d", code, exitFailure)
		}
		if !strings.Contains(p.stderr.String(), filepath.Join(r.directory, fakeName)) {
			t.Errorf("stderr does not name the program:\n%s", p.stderr)
		}
	})
	t.Run("unknown argument", func(t *testing.T) {
		r := newRig(t, script{}, credentialsInImage)
		p := r.start("serve")
		if code := p.wait(); code != exitUsage {
			t.Errorf("exit code %d, want %d", code, exitUsage)
		}
		if want := "entrypoint: unknown arguments [\"serve\"]"; !strings.HasPrefix(p.stderr.String(), want) {
			t.Errorf("stderr:\n%s\nwant %s", p.stderr, want)
		}
		r.neverCalled(checkFile)
	})
	t.Run("stopped before the check", func(t *testing.T) {
		const users = 15_000 // whose passwords take some ten milliseconds
		r := newRig(t, script{}, credentialsOf(users)...)
		p := r.start()
		waitFor(t, "a tick of the processor's time", func() bool { return processorTicks(t, p.command.Process.Pid) > 0 })
		p.command.Process.Signal(syscall.SIGTERM)
		if code := p.wait(); code != 143 {
			t.Errorf("exit code %d, want 143; stderr:\n%s", code, p.stderr)
		}
		r.neverCalled(checkFile)
	})
	t.Run("stopped during the check", func(t *testing.T) {
		r := newRig(t, script{CheckHangs: true}, credentialsInImage)
		p := r.start()
		waitFor(t, "the check", func() bool {
			_, err := os.Stat(filepath.Join(r.directory, checkFile))
			return err == nil
		})
		p.command.Process.Signal(syscall.SIGTERM)
		if code := p.wait(); code != 143 {
			t.Errorf("exit code %d, want 143", code)
		}
		r.neverCalled(runFile)
	})
}

func credentialsOf(users int) []string {
	environment := []string{container.EnvCredentials + "=" + string(container.CredentialsSecretsManager), container.EnvRealm + "=squidfleet"}
	var names []string
	for i := range users {
		name := strconv.Itoa(i)
		names = append(names, name)
		environment = append(environment, container.EnvPassword+name+"=open sesame")
	}
	return append(environment, container.EnvUsers+"="+strings.Join(names, ","))
}

// processorTicks is the processor's time that a process has used, in hundredths of a second.
func processorTicks(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	var ticks int
	for _, field := range strings.Fields(rest)[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return ticks
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestSignalsThatAreSquids(t *testing.T) {
	r := newRig(t, script{}, credentialsInImage)
	p := r.start()
	p.waitReady()
	var want string
	for _, sent := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		want += sent.String() + "\n"
		p.command.Process.Signal(sent)
		waitFor(t, sent.String(), func() bool { return r.signals() == want })
	}
	p.command.Process.Signal(syscall.SIGINT)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func (r *rig) signals() string {
	content, err := os.ReadFile(filepath.Join(r.directory, signalsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.t.Fatal(err)
	}
	return string(content)
}

func TestOutputIsCopiedToTheEnd(t *testing.T) {
	stdout := strings.Repeat(`{"a":"line of the log"}`+"\n", 20_000)
	p := newRig(t, script{ExitNow: true, Stdout: stdout, Stderr: "a message\n"}, credentialsInImage).start()
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	want := strings.ReplaceAll(stdout, "{", `{"egress":"-",`) + messagePrefix + readyLine
	if got := p.stdout.String(); got != want {
		t.Errorf("stdout has %d bytes, want %d", len(got), len(want))
	}
	if got := p.stderr.String(); got != messagePrefix+"a message\n" {
		t.Errorf("stderr %q", got)
	}
}

func TestOrphanThatHoldsTheLogIsNotWaitedFor(t *testing.T) {
	r := newRig(t, script{Orphan: true, ExitNow: true, Exit: 4}, credentialsInImage)
	p := r.start()
	p.waitReady()
	orphans := children(t, p.command.Process.Pid)
	if code := p.wait(); code != 4 {
		t.Errorf("exit code %d, want Squid's, 4", code)
	}
	if p.stderr.String() != "" {
		t.Errorf("stderr: %s", p.stderr)
	}
	for _, pid := range orphans {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	r := newRig(t, script{Orphan: true}, credentialsInImage)
	p := r.start()
	p.waitReady()
	squidPid := r.called(runFile).Pid
	if got := children(t, p.command.Process.Pid); len(got) != 2 || !slices.Contains(got, squidPid) {
		t.Fatalf("the entrypoint has the children %v, want Squid (%d) and its orphan", got, squidPid)
	}
	// The fake passes this on to the orphan, which ends by it.
	p.command.Process.Signal(syscall.SIGUSR1)
	waitFor(t, "the orphan to be reaped", func() bool {
		return slices.Equal(children(t, p.command.Process.Pid), []int{squidPid})
	})
	p.command.Process.Signal(syscall.SIGINT)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// children lists the processes whose parent is pid, zombies included.
func children(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, stat := range stats {
		content, err := os.ReadFile(stat)
		if err != nil {
			continue // It has ended meanwhile.
		}
		_, rest, _ := strings.Cut(string(content), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, child)
		}
	}
	return found
}

// Squid ends with the thread that started it, so that must be the one that lasts; and a terminal's Ctrl-C is not Squid's.
func TestSquidIsTheFirstThreadsChildAndInAGroupOfItsOwn(t *testing.T) {
	r := newRig(t, script{}, credentialsInImage)
	p := r.start()
	p.waitReady()
	squidPid := r.called(runFile).Pid
	pid := p.command.Process.Pid
	started, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Fields(string(started)), strconv.Itoa(squidPid)) {
		t.Errorf("the first thread started %q, not Squid (%d)", started, squidPid)
	}
	if group, err := syscall.Getpgid(squidPid); err != nil || group != squidPid {
		t.Errorf("Squid (%d) is in group %d, %v", squidPid, group, err)
	}
}

// All that this process starts has no way to more privileges, and neither has any of its threads.
func TestNoNewPrivileges(t *testing.T) {
	r := newRig(t, script{}, credentialsInImage)
	p := r.start()
	p.waitReady()
	for _, pid := range []int{p.command.Process.Pid, r.called(runFile).Pid} {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(threads) == 0 {
			t.Fatal(threads, err)
		}
		for _, thread := range threads {
			status, err := os.ReadFile(thread)
			if err == nil && !bytes.Contains(status, []byte("NoNewPrivs:\t1\n")) {
				t.Errorf("%s:\n%s", thread, status)
			}
		}
	}
}

func TestSquidDiesWithTheEntrypoint(t *testing.T) {
	r := newRig(t, script{}, credentialsInImage)
	p := r.start()
	p.waitReady()
	squidPid := r.called(runFile).Pid
	p.command.Process.Kill()
	if code := p.wait(); code != -int(syscall.SIGKILL) {
		t.Fatalf("exit code %d", code)
	}
	waitFor(t, "the end of Squid", func() bool {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", squidPid))
		return err != nil || strings.Contains(string(content), ") Z ")
	})
}

func TestBadSettings(t *testing.T) {
	mode := container.EnvCredentials + "=" + string(container.CredentialsSecretsManager)
	for _, c := range []struct {
		name        string
		environment []string
		want        []string
	}{
		{"nothing", nil, []string{
			"SQUIDFLEET_CREDENTIALS: is missing; set it to secretsmanager or image",
		}},
		{"an unknown mode", []string{"SQUIDFLEET_CREDENTIALS=vault", "SQUIDFLEET_REALM=r"}, []string{
			`SQUIDFLEET_CREDENTIALS: "vault" is not a choice; set it to secretsmanager or image`,
		}},
		{"several at once", []string{"SQUIDFLEET_DIR=srv", "SQUIDFLEET_SQUID=squid", "SQUIDFLEET_USRES=alice", "SQUIDFLEET_CREDENTIALS="}, []string{
			`SQUIDFLEET_DIR: "srv" is not an absolute path`,
			`SQUIDFLEET_SQUID: "squid" is not an absolute path`,
			"SQUIDFLEET_CREDENTIALS: is missing; set it to secretsmanager or image",
			"SQUIDFLEET_USRES: is not a setting; leave it out",
		}},
		{"a URL that cannot be asked", []string{credentialsInImage, "SQUIDFLEET_EGRESS_URL=https://example.com/"}, []string{
			`SQUIDFLEET_EGRESS_URL: "https://example.com/" does not begin with http://, the only scheme there is; set it to such a URL or to off`,
		}},
		{"a drain without a unit", []string{credentialsInImage, "SQUIDFLEET_DRAIN_TIMEOUT=90"}, []string{
			`SQUIDFLEET_DRAIN_TIMEOUT: "90" is not a duration from 0s to 24h0m0s; write it like 90s or 1m30s`,
		}},
		{"a drain of more than a day", []string{credentialsInImage, "SQUIDFLEET_DRAIN_TIMEOUT=24h1s"}, []string{
			`SQUIDFLEET_DRAIN_TIMEOUT: "24h1s" is not a duration from 0s to 24h0m0s; write it like 90s or 1m30s`,
		}},
		{"a drain into the past", []string{credentialsInImage, "SQUIDFLEET_DRAIN_TIMEOUT=-1s"}, []string{
			`SQUIDFLEET_DRAIN_TIMEOUT: "-1s" is not a duration from 0s to 24h0m0s; write it like 90s or 1m30s`,
		}},
		{"an empty path", []string{credentialsInImage, "SQUIDFLEET_SQUID="}, []string{
			"SQUIDFLEET_SQUID: is empty; set it or leave it out",
		}},
		{"a name that Squid does not take", []string{credentialsInImage, "SQUIDFLEET_NAME=task-1"}, []string{
			`SQUIDFLEET_NAME: "task-1" is not 1 to 32 ASCII letters and digits`,
		}},
		{"no such directory", []string{credentialsInImage, "SQUIDFLEET_DIR=/no/such/place"}, []string{
			"SQUIDFLEET_DIR: stat /no/such/place: no such file or directory",
		}},
		{"a file as the directory", []string{credentialsInImage, "SQUIDFLEET_DIR=/etc/passwd"}, []string{
			"SQUIDFLEET_DIR: /etc/passwd is not a directory",
		}},
		{"no users, no realm", []string{mode}, []string{
			"SQUIDFLEET_REALM: is missing; set it to the Digest realm",
			"SQUIDFLEET_USERS: is missing; set it to the user names, separated by commas",
		}},
		{"a missing password", []string{mode, "SQUIDFLEET_REALM=r", "SQUIDFLEET_USERS=alice,bob", "SQUIDFLEET_PASSWORD_ALICE=open sesame"}, []string{
			`SQUIDFLEET_PASSWORD_BOB: is missing; set it to the password of user "bob"`,
		}},
		{"a password of nobody", []string{mode, "SQUIDFLEET_REALM=r", "SQUIDFLEET_USERS=alice", "SQUIDFLEET_PASSWORD_ALICE=a-password", "SQUIDFLEET_PASSWORD_BOB=swordfish"}, []string{
			"SQUIDFLEET_PASSWORD_BOB: is no user's password; name the user in SQUIDFLEET_USERS, with SQUIDFLEET_CREDENTIALS=secretsmanager, or leave it out",
		}},
		{"two users, one variable", []string{mode, "SQUIDFLEET_REALM=r", "SQUIDFLEET_USERS=a-b,a_b", "SQUIDFLEET_PASSWORD_A_B=a-password"}, []string{
			`SQUIDFLEET_USERS[1]: "a_b" and "a-b" both take their password from SQUIDFLEET_PASSWORD_A_B; rename one`,
		}},
		{"nobody to check", []string{credentialsInImage, "SQUIDFLEET_DIGEST=", "SQUIDFLEET_DIGEST_KEYS=x"}, []string{
			"SQUIDFLEET_DIGEST: is missing; set it to fleet or squid",
		}},
		{"an unknown checker", []string{credentialsInImage, "SQUIDFLEET_DIGEST=both"}, []string{
			`SQUIDFLEET_DIGEST: "both" is not a choice; set it to fleet or squid`,
		}},
		{"no keys", []string{credentialsInImage, "SQUIDFLEET_DIGEST=fleet"}, []string{
			"SQUIDFLEET_DIGEST_KEYS: is missing; with SQUIDFLEET_DIGEST=fleet, set it to the secret that all tasks of the fleet share",
		}},
		{"empty keys", []string{credentialsInImage, "SQUIDFLEET_DIGEST=fleet", "SQUIDFLEET_DIGEST_KEYS="}, []string{
			"SQUIDFLEET_DIGEST_KEYS: keys: 0 given; 1 to 8 are needed",
		}},
		{"a short key", []string{credentialsInImage, "SQUIDFLEET_DIGEST=fleet", "SQUIDFLEET_DIGEST_KEYS=swordfish"}, []string{
			"SQUIDFLEET_DIGEST_KEYS: keys[0]: 9 characters; 32 to 1024 are needed",
		}},
		{"a malformed key behind a good one", []string{credentialsInImage, "SQUIDFLEET_DIGEST=fleet", "SQUIDFLEET_DIGEST_KEYS=" + nonceKey + " " + nonceKey + "\x01"}, []string{
			"SQUIDFLEET_DIGEST_KEYS: keys[1]: character 41 is not printable ASCII",
		}},
		{"keys for nothing", []string{credentialsInImage, "SQUIDFLEET_DIGEST_KEYS=0123456789abcdef0123456789abcdef"}, []string{
			"SQUIDFLEET_DIGEST_KEYS: only goes with SQUIDFLEET_DIGEST=fleet; leave it out",
		}},
		{"settings of the other mode", []string{credentialsInImage, "SQUIDFLEET_REALM=r", "SQUIDFLEET_USERS=alice", "SQUIDFLEET_PASSWORD_ALICE=swordfish"}, []string{
			"SQUIDFLEET_PASSWORD_ALICE: is no user's password; name the user in SQUIDFLEET_USERS, with SQUIDFLEET_CREDENTIALS=secretsmanager, or leave it out",
			"SQUIDFLEET_REALM: only goes with SQUIDFLEET_CREDENTIALS=secretsmanager; leave it out",
			"SQUIDFLEET_USERS: only goes with SQUIDFLEET_CREDENTIALS=secretsmanager; leave it out",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, script{ExitNow: true})
			for _, entry := range c.environment {
				name, _, _ := strings.Cut(entry, "=")
				r.environment = slices.DeleteFunc(r.environment, func(other string) bool { return strings.HasPrefix(other, name+"=") })
				r.environment = append(r.environment, entry)
			}
			p := r.start()
			if code := p.wait(); code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			var want string
			for _, line := range c.want {
				want += "entrypoint: " + line + "\n"
			}
			if got := p.stderr.String(); got != want {
				t.Errorf("stderr:\n%s\nwant:\n%s", got, want)
			}
			r.neverCalled(checkFile)
			if entries, err := os.ReadDir(filepath.Join(r.directory, container.Run)); err != nil || len(entries) != 0 {
				t.Errorf("run/ holds %v (%v), want nothing", entries, err)
			}
		})
	}
}

// What Squid's own rules refuse names the variable too, and never repeats a password.
func TestValuesThatSquidCannotHave(t *testing.T) {
	_, problems := readSettings([]string{
		container.EnvDir + "=/",
		container.EnvDigest + "=" + string(squid.DigestSquid),
		container.EnvCredentials + "=" + string(container.CredentialsSecretsManager),
		container.EnvRealm + "=a\"b",
		container.EnvUsers + "=al:ice,bob",
		container.EnvPassword + "BOB=sword\nfish",
	})
	if len(problems) != 3 {
		t.Fatalf("problems %q, want three", problems)
	}
	for i, name := range []string{container.EnvRealm + ": ", container.EnvUsers + "[0]: ", container.EnvPassword + "BOB: "} {
		if !strings.HasPrefix(problems[i], name) {
			t.Errorf("problem %q does not begin with %q", problems[i], name)
		}
		if strings.Contains(problems[i], "fish") {
			t.Errorf("problem %q repeats the password", problems[i])
		}
	}
}

// The package comment is the reference of the environment.
func TestPackageCommentNamesEverySetting(t *testing.T) {
	main, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	declarations, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "container", "container.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names int
	ast.Inspect(declarations, func(node ast.Node) bool {
		value, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(value.Names[0].Name, "Env") || value.Names[0].Name == "EnvPrefix" {
			return true
		}
		sum := value.Values[0].(*ast.BinaryExpr)
		suffix, err := strconv.Unquote(sum.Y.(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		names++
		if name := container.EnvPrefix + suffix; !strings.Contains(main.Doc.Text(), name) {
			t.Errorf("the package comment does not name %s", name)
		}
		return true
	})
	if names < 9 {
		t.Errorf("found %d names, want all", names)
	}
}
