package rotation

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/local"
)

// command builds squidfleet.
func command(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "squidfleet")
	if out, err := exec.Command("go", "build", "-o", program, "squidfleet/cmd/squidfleet").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// The whole of what a first user does: start it, paste the line, see addresses change, press Ctrl-C.
func TestLocalShowsRotatingAddressesWithOnePastedLine(t *testing.T) {
	temporary, err := os.MkdirTemp("", "squidfleet-command-") // not t.TempDir, which the tasks' user may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temporary) })
	if err := os.Chmod(temporary, 0o755); err != nil {
		t.Fatal(err)
	}
	program := command(t)
	run := exec.Command(program, "local", "--json", "--tasks", "2", "--speed", "60", "--rotate-every", "15s", "-c", "users=alice,bob")
	run.Dir = "../.." // where cdk.json is
	run.Env = append(os.Environ(), "TMPDIR="+temporary)
	run.Stderr = os.Stderr
	stdout, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	t.Cleanup(func() {
		if !ended {
			run.Process.Kill()
			run.Wait()
		}
	})
	lines := make(chan line)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			var l line
			if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
				l.Event = fmt.Sprintf("%v: %s", err, scanner.Text())
			}
			lines <- l
		}
	}()
	await := func(event string) line {
		t.Helper()
		deadline := time.After(time.Minute)
		for {
			select {
			case l, open := <-lines:
				if !open {
					t.Fatalf("it ended before %q", event)
				}
				if l.Event == event {
					return l
				}
			case <-deadline:
				t.Fatalf("no %q after a minute", event)
			}
		}
	}

	ready := await("ready")
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
	await("rotation ended")
	paste(4)

	if err := run.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for range lines {
	}
	ended = true
	if err := run.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
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

// line is one of those that --json writes.
type line struct {
	Event string
	Curl  string
	Task  *local.Task
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
	program := command(t)
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
	for name, c := range map[string]struct {
		arguments []string
		want      string
	}{
		"the port is in use":        {[]string{"--port", port}, "address already in use; end the program that listens there, or choose another with --port PORT"},
		"no task can have its port": {[]string{"--port", "1999", "-c", fmt.Sprint("listenerPort=", everywhere.Addr().(*net.TCPAddr).Port)}, "no free address: the ports"},
	} {
		t.Run(name, func(t *testing.T) {
			run := exec.Command(program, append([]string{"local"}, c.arguments...)...)
			run.Dir = "../.."
			var stderr strings.Builder
			run.Stdout, run.Stderr = io.Discard, &stderr
			err := run.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || exit.Sys().(syscall.WaitStatus).Signaled() || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("%v, and stderr:\n%s\nwant %q", err, &stderr, c.want)
			}
		})
	}
}
