package rotation

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"squidfleet/internal/must"
	"squidfleet/internal/ptytest"
)

// running is a `squidfleet local --json`.
type running struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.Writer
	lines   chan line
}

// start runs it with a directory of its own for temporary files, in which nobody else's are.
func start(t *testing.T, temporary string, arguments ...string) *running {
	t.Helper()
	r := &running{
		t: t, command: exec.Command(program, append([]string{"local", "--json"}, arguments...)...),
		lines: make(chan line),
	}
	r.command.Dir = "../.." // where cdk.json is
	r.command.Env = append(os.Environ(), "TMPDIR="+temporary)
	r.command.Stderr = os.Stderr
	var err error
	r.stdin, err = r.command.StdinPipe()
	stdout, outErr := r.command.StdoutPipe()
	must.OK(t, errors.Join(err, outErr, r.command.Start()))
	go func() {
		defer close(r.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			var l line
			if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
				l.Event = fmt.Sprintf("%v: %s", err, scanner.Text())
			}
			r.lines <- l
		}
	}()
	t.Cleanup(func() {
		if r.command.ProcessState == nil {
			r.end(os.Kill)
		}
	})
	return r
}

// await returns the next event of a kind.
func (r *running) await(event string) line {
	r.t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case l, open := <-r.lines:
			if !open {
				r.t.Fatalf("it ended before %q", event)
			}
			if l.Event == event {
				return l
			}
		case <-deadline:
			r.t.Fatalf("no %q after a minute", event)
		}
	}
}

// end sends a signal and returns how the program ended.
func (r *running) end(signal os.Signal) error {
	r.t.Helper()
	if err := r.command.Process.Signal(signal); err != nil {
		r.t.Error(err)
	}
	for range r.lines {
	}
	return r.command.Wait()
}

// leavesNothing fails for whatever is left of the fleets with a directory for temporary files.
func leavesNothing(t *testing.T, temporary string) {
	t.Helper()
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("files that are left: %v, %v", left, err)
	}
	if left, err := filepath.Glob("/dev/shm/*"); err != nil || len(left) > 0 {
		t.Errorf("left in shared memory: %v, %v", left, err)
	}
	if left := processes(t, temporary); len(left) > 0 {
		t.Errorf("processes that are left: %v", left)
	}
}

// temporaryDirectory is one that the tasks' user may enter, unlike t.TempDir.
func temporaryDirectory(t testing.TB) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "squidfleet-command-")
	must.OK(t, err)
	t.Cleanup(func() { os.RemoveAll(directory) })
	must.OK(t, os.Chmod(directory, 0o755))
	return directory
}

// However and whenever it ends, nothing is left; the next start clears up after a kill -9.
func TestLocalThatEndsBeforeItHasBegun(t *testing.T) {
	// A test run under nohup ignores SIGHUP, and the program would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	temporary := temporaryDirectory(t)
	killed := start(t, temporary, "--tasks", "1")
	killed.await("serving")
	killed.end(os.Kill)
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 1 {
		t.Fatalf("a fleet whose program was killed left %v, %v: there is nothing to show", left, err)
	}
	for _, sent := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		interrupted := start(t, temporary, "--tasks", "1")
		interrupted.await("started")
		if err := interrupted.end(sent); err != nil {
			t.Errorf("after %v: %v, want exit code 0", sent, err)
		}
		leavesNothing(t, temporary)
	}
}

// All that a first user does: start it, paste the lines, see addresses change and one that stays,
// rotate it, press Ctrl-C.
func TestLocalAddressesHavePortsThatStay(t *testing.T) {
	temporary := temporaryDirectory(t)
	run := start(t, temporary, "--tasks", "3", "--speed", "60", "--rotate-every", "off", "-c", "users=alice,bob")
	ready := run.await("ready")
	for i, a := range ready.Addresses {
		if a.Number != i+1 || ready.Endpoint != fmt.Sprint("127.0.0.1:", a.Port-a.Number) {
			t.Errorf("%+v", ready)
		}
	}
	// shows are the addresses that many connections by a pasted line show.
	shows := func(curl string) []string {
		t.Helper()
		shell := exec.Command("sh", "-c", "set -e; for i in $(seq 40); do "+curl+"; done")
		shell.Env = append(os.Environ(), "NO_PROXY=127.0.0.0/8")
		out, err := shell.CombinedOutput()
		must.OK(t, err)
		return slices.Compact(slices.Sorted(strings.FieldsSeq(string(out))))
	}
	all, first := shows(ready.Curl), shows(ready.CurlAddress)
	if !slices.Equal(all, []string{"127.77.1.1", "127.77.1.2", "127.77.1.3"}) || len(first) != 1 {
		t.Errorf("the common port shows %q, that of address 1 %q", all, first)
	}
	_, err := io.WriteString(run.stdin, "rotate 1\n")
	must.OK(t, err)
	if ended := run.await("rotation ended"); ended.Number != 1 || ended.Port != ready.Addresses[0].Port {
		t.Errorf("%+v", ended)
	}
	if got := shows(ready.CurlAddress); !slices.Equal(got, []string{"127.77.1.4"}) {
		t.Errorf("after its rotation the port of address 1 shows %q", got)
	}
	if err := run.end(os.Interrupt); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	leavesNothing(t, temporary)
}

// With --tls the pasted lines work as they are. A client that does not trust the CA, or speaks no
// TLS, gets nothing.
func TestLocalSpeaksTLS(t *testing.T) {
	temporary := temporaryDirectory(t)
	run := start(t, temporary, "--tasks", "1", "--tls", "--speed", "60", "--rotate-every", "off")
	ready := run.await("ready")
	for _, c := range []struct {
		curl string
		want string
		code int
	}{
		{ready.Curl, "127.77.1.1\n", 0},
		{ready.CurlAddress, "127.77.1.1\n", 0},
		{strings.Replace(ready.CurlAddress, "127.0.0.1", "localhost", 1), "127.77.1.1\n", 0},
		{strings.Replace(ready.Curl, " --proxy-cacert "+ready.CA, "", 1), "", 60}, // CURLE_PEER_FAILED_VERIFICATION
		{strings.Replace(ready.Curl, "https://", "http://", 1), "", 52},           // CURLE_GOT_NOTHING
	} {
		out, err := exec.Command("sh", "-c", c.curl).Output()
		code := 0
		if exit, is := errors.AsType[*exec.ExitError](err); is {
			code, err = exit.ExitCode(), nil
		}
		if err != nil || code != c.code || string(out) != c.want {
			t.Errorf("%s\nanswers %q and ends with %d, %v; want %q and %d", c.curl, out, code, err, c.want, c.code)
		}
	}
	// The relay is before the fleet, TLS and all.
	relay := exec.Command("sh", "-c", ready.Relay)
	relay.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	relay.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said, err := relay.StderrPipe()
	must.OK(t, errors.Join(err, relay.Start()))
	if text, err := bufio.NewReader(said).ReadString('\n'); !strings.Contains(text, "listens on 127.0.0.1:3128") {
		t.Errorf("%s\nsays %q, %v", ready.Relay, text, err)
	}
	for _, session := range []string{"", "cart-42@"} {
		out, err := exec.Command("curl", "-sS", "--noproxy", "", "--proxy", "http://"+session+"127.0.0.1:3128",
			ready.Origin).CombinedOutput()
		if string(out) != "127.77.1.1\n" {
			t.Errorf("through the relay as %q: %q, %v", session, out, err)
		}
	}
	syscall.Kill(-relay.Process.Pid, syscall.SIGKILL)
	relay.Wait()
	if err := run.end(os.Interrupt); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	leavesNothing(t, temporary)
}

// On a terminal the keys that are typed appear in the table's last line and nowhere else, and the
// terminal is as before when the program ends.
func TestLocalObeysTheTerminal(t *testing.T) {
	master, slave := ptytest.Open(t)
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	must.OK(t, err)
	temporary := temporaryDirectory(t)
	run := exec.Command(program, "local", "--tasks", "1", "--speed", "60", "--rotate-every", "off")
	run.Dir = "../.."
	run.Env = append(os.Environ(), "TMPDIR="+temporary, "TERM=xterm", "NO_COLOR=")
	run.Stdin, run.Stdout, run.Stderr = slave, slave, slave
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must.OK(t, run.Start())
	defer time.AfterFunc(time.Minute, func() { run.Process.Kill() }).Stop()
	var after *unix.Termios
	ended := make(chan error, 1)
	go func() {
		err := run.Wait()
		after, _ = unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		slave.Close() // Reading the master ends.
		ended <- err
	}()
	await := func(want string) {
		t.Helper()
		var screen string
		for buffer := make([]byte, 4096); !strings.Contains(screen, want); {
			n, err := master.Read(buffer)
			if screen += string(buffer[:n]); err != nil {
				t.Fatalf("no %q: %v\n%q", want, err, screen)
			}
		}
	}
	await("rotate, stop, start: ")
	io.WriteString(master, "start 1")
	await("rotate, stop, start: start 1\x1b[J")
	io.WriteString(master, "\r")
	await("address 1 is not stopped")
	io.WriteString(master, "\x03") // Ctrl-C
	screen, _ := io.ReadAll(master)
	if err := <-ended; err != nil {
		t.Errorf("%v\n%q", err, screen)
	}
	if after == nil || *after != *before {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
	leavesNothing(t, temporary)
}

// line is one of those that --json writes.
type line struct {
	Event                               string
	Number, Port                        int
	Endpoint, Origin, Curl, CurlAddress string
	Relay, CA                           string
	Addresses                           []struct{ Number, Port int }
	Passwords                           map[string]string
}

// processes lists those that were started for tasks below a directory.
func processes(t *testing.T, directory string) (found []string) {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	must.OK(t, err)
	for _, path := range environments {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), directory) {
			found = append(found, path)
		}
	}
	return found
}

func TestLocalTellsWhatIsInTheWay(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	must.OK(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	everywhere, err := net.Listen("tcp4", "0.0.0.0:0")
	must.OK(t, err)
	defer everywhere.Close()
	noexec := temporaryDirectory(t)
	must.OK(t, syscall.Mount("none", noexec, "tmpfs", syscall.MS_NOEXEC, ""))
	t.Cleanup(func() { syscall.Unmount(noexec, 0) })
	must.OK(t, os.Chmod(noexec, 0o755))
	const inUse = "address already in use; end the program that listens there, or choose another with --port PORT"
	for _, c := range []struct{ temporary, port, listener, want string }{
		{noexec, "1999", "35201", "permission denied; programs must be allowed to run there (no noexec), and " +
			"the tasks' user 65534 to enter: choose another directory with TMPDIR"},
		{os.TempDir(), fmt.Sprint(port), "35201", inUse},
		{os.TempDir(), fmt.Sprint(port - 1), "35201", inUse}, // The port of address 1 is in use.
		{os.TempDir(), "1999", fmt.Sprint(everywhere.Addr().(*net.TCPAddr).Port), "no free address: the ports"},
	} {
		run := exec.Command(program, "local", "--port", c.port, "-c", "listenerPort="+c.listener)
		run.Dir = "../.."
		run.Env = append(os.Environ(), "TMPDIR="+c.temporary)
		out, err := run.CombinedOutput()
		exit, _ := errors.AsType[*exec.ExitError](err)
		if exit == nil || exit.ExitCode() != 1 || !strings.Contains(string(out), c.want) {
			t.Errorf("%v:\n%s\nwant %q", err, out, c.want)
		}
	}
}
