package rotation

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/local"
)

// running is a `squidfleet local --json`.
type running struct {
	t       *testing.T
	command *exec.Cmd
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
	stdout, err := r.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
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
func temporaryDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "squidfleet-command-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	if err := os.Chmod(directory, 0o755); err != nil {
		t.Fatal(err)
	}
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

// All that a first user does: start it, paste the line, see addresses change, press Ctrl-C.
func TestLocalShowsRotatingAddressesWithOnePastedLine(t *testing.T) {
	// Others listen at 8080 of all addresses; the origin needs no port of its own.
	if everywhere, err := net.Listen("tcp4", "0.0.0.0:8080"); err != nil {
		t.Fatal(err)
	} else {
		defer everywhere.Close()
	}
	temporary := temporaryDirectory(t)
	run := start(t, temporary, "--tasks", "2", "--speed", "60", "--rotate-every", "15s", "-c", "users=alice,bob")
	ready := run.await("ready")
	seen := map[string]bool{}
	paste := func(until int) {
		t.Helper()
		for range 100 {
			shell := exec.Command("sh", "-c", ready.Curl)
			shell.Env = append(os.Environ(), "NO_PROXY=127.0.0.0/8")
			out, err := shell.CombinedOutput()
			address, wrong := netip.ParseAddr(strings.TrimSuffix(string(out), "\n"))
			if err != nil || wrong != nil || !strings.HasPrefix(address.String(), "127.77.1.") {
				t.Fatalf("%s\nanswers %q, %v", ready.Curl, out, err)
			}
			if seen[address.String()] = true; len(seen) == until {
				return
			}
		}
		t.Fatalf("only the addresses %v were seen", seen)
	}
	paste(2)
	run.await("rotation ended")
	paste(4)

	if err := run.end(os.Interrupt); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	leavesNothing(t, temporary)
}

// line is one of those that --json writes.
type line struct {
	Event string
	Curl  string
	Task  *local.TaskStatus
}

// processes lists those that were started for tasks below a directory.
func processes(t *testing.T, directory string) (found []string) {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	everywhere, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	noexec := temporaryDirectory(t)
	if err := syscall.Mount("none", noexec, "tmpfs", syscall.MS_NOEXEC, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(noexec, 0) })
	if err := os.Chmod(noexec, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ temporary, port, listener, want string }{
		{noexec, "1999", "35201", "permission denied; programs must be allowed to run there (no noexec), and " +
			"the tasks' user 65534 to enter: choose another directory with TMPDIR"},
		{os.TempDir(), port, "35201", "address already in use; end the program that listens there, or choose another " +
			"with --port PORT"},
		{os.TempDir(), "1999", fmt.Sprint(everywhere.Addr().(*net.TCPAddr).Port), "no free address: the ports"},
	} {
		run := exec.Command(program, "local", "--port", c.port, "-c", "listenerPort="+c.listener)
		run.Dir = "../.."
		run.Env = append(os.Environ(), "TMPDIR="+c.temporary)
		out, err := run.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), c.want) {
			t.Errorf("%v:\n%s\nwant %q", err, out, c.want)
		}
	}
}
