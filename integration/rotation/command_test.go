package rotation

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"squidfleet/internal/ptytest"
	"squidfleet/internal/rig"
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
	stdin, err := r.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.stdin = stdin
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
func temporaryDirectory(t testing.TB) string {
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

// All that a first user does: start it, paste the lines, see addresses change and one that stays,
// rotate it, press Ctrl-C.
func TestLocalAddressesHavePortsThatStay(t *testing.T) {
	// Others listen at 8080 of all addresses; the origin needs no port of its own.
	if everywhere, err := net.Listen("tcp4", "0.0.0.0:8080"); err != nil {
		t.Fatal(err)
	} else {
		defer everywhere.Close()
	}
	temporary := temporaryDirectory(t)
	run := start(t, temporary, "--tasks", "5", "--speed", "60", "--rotate-every", "off", "-c", "users=alice,bob")
	ready := run.await("ready")
	ports := []int{anyPort(ready)}
	for i, a := range ready.Addresses {
		if a.Number != i+1 || a.Port != ports[0]+a.Number {
			t.Errorf("%+v", ready.Addresses)
		}
		ports = append(ports, a.Port)
	}
	pasted := func(curl string) netip.Addr {
		t.Helper()
		shell := exec.Command("sh", "-c", curl)
		shell.Env = append(os.Environ(), "NO_PROXY=127.0.0.0/8")
		out, err := shell.CombinedOutput()
		address, wrong := netip.ParseAddr(strings.TrimSuffix(string(out), "\n"))
		if err != nil || wrong != nil || !strings.HasPrefix(address.String(), "127.77.1.") {
			t.Fatalf("%s\nanswers %q, %v", curl, out, err)
		}
		return address
	}
	// egress asks through a port, in a connection of its own.
	egress := func(port int) (string, error) {
		c := rig.Client{Task: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)), User: "alice",
			Password: ready.Passwords["alice"]}
		response, err := c.Request("GET", ready.Origin)
		if err == nil && response.StatusCode != 200 {
			err = errors.New(response.Status)
		}
		if err != nil {
			return "", err
		}
		return strings.TrimSuffix(response.Text, "\n"), nil
	}
	// seen is what 200 connections to each port show.
	seen := func() []map[string]bool {
		t.Helper()
		all := make([]map[string]bool, len(ports))
		for i, port := range ports {
			all[i] = map[string]bool{}
			for range 200 {
				address, err := egress(port)
				if err != nil {
					t.Fatalf("port %d: %v", port, err)
				}
				all[i][address] = true
			}
		}
		return all
	}
	// one is the only address that a port shows; together are the five that the common port does.
	one := func(of map[string]bool) string {
		t.Helper()
		if len(of) != 1 {
			t.Errorf("an address's port shows %v", of)
		}
		for address := range of {
			return address
		}
		return ""
	}
	together := func(all []map[string]bool) {
		t.Helper()
		union := map[string]bool{}
		for _, of := range all[1:] {
			maps.Copy(union, of)
		}
		if len(all[0]) != 5 || !maps.Equal(all[0], union) {
			t.Errorf("the common port shows %v, the others %v", all[0], union)
		}
	}
	before := seen()
	together(before)
	if address := pasted(ready.Curl); !before[0][address.String()] {
		t.Errorf("the pasted line shows %v", address)
	}
	for range 3 {
		if address := pasted(ready.CurlAddress); address.String() != one(before[1]) {
			t.Errorf("the pasted line of address 1 shows %v", address)
		}
	}

	loaded, end := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	var connections atomic.Int64
	for _, port := range ports {
		group.Go(func() {
			for {
				if _, err := egress(port); err != nil {
					t.Errorf("port %d while address 3 is rotated: %v", port, err)
					return
				}
				if connections.Add(1) == 100 {
					close(loaded)
				}
				select {
				case <-end:
					return
				default:
				}
			}
		})
	}
	<-loaded
	if _, err := io.WriteString(run.stdin, "rotate 3\n"); err != nil {
		t.Fatal(err)
	}
	if ended := run.await("rotation ended"); ended.Number != 3 || ended.Port != ports[3] {
		t.Errorf("%+v", ended)
	}
	close(end)
	group.Wait()
	t.Logf("%d connections meanwhile", connections.Load())
	after := seen()
	together(after)
	for number := 1; number <= 5; number++ {
		if was, is := one(before[number]), one(after[number]); (was != is) != (number == 3) {
			t.Errorf("address %d was %s and is %s", number, was, is)
		}
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
		var exit *exec.ExitError
		if errors.As(err, &exit) {
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
	if err == nil {
		err = relay.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
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

func anyPort(ready line) int { return int(netip.MustParseAddrPort(ready.Endpoint).Port()) }

// On a terminal the keys that are typed appear in the table's last line and nowhere else, and the
// terminal is as before when the program ends.
func TestLocalObeysTheTerminal(t *testing.T) {
	master, slave := ptytest.Open(t)
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	temporary := temporaryDirectory(t)
	run := exec.Command(program, "local", "--tasks", "1", "--speed", "60", "--rotate-every", "off")
	run.Dir = "../.."
	run.Env = append(os.Environ(), "TMPDIR="+temporary, "TERM=xterm", "NO_COLOR=")
	run.Stdin, run.Stdout, run.Stderr = slave, slave, slave
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	shown := make(chan string)
	go func() {
		defer close(shown)
		for buffer := make([]byte, 4096); ; {
			n, err := master.Read(buffer)
			if err != nil {
				return
			}
			shown <- string(buffer[:n])
		}
	}()
	var screen string
	await := func(want string) {
		t.Helper()
		for deadline := time.After(time.Minute); !strings.Contains(screen, want); {
			select {
			case more := <-shown:
				screen += more
			case <-deadline:
				run.Process.Kill()
				t.Fatalf("no %q after a minute:\n%q", want, screen)
			}
		}
		screen = ""
	}
	await("rotate, stop, start: ")
	io.WriteString(master, "start 1")
	await("rotate, stop, start: start 1\x1b[J")
	io.WriteString(master, "\r")
	await("address 1 is not stopped")
	io.WriteString(master, "\x03") // Ctrl-C
	for open := true; open; {
		select {
		case more := <-shown:
			screen += more
		case err := <-ended:
			if open = false; err != nil {
				t.Errorf("%v\n%q", err, screen)
			}
		}
	}
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal was %+v and is %+v, %v", before, after, err)
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
	before := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port - 1)
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
		// The port of address 1 is in use.
		{os.TempDir(), before, "35201", "address already in use; end the program that listens there, or choose " +
			"another with --port PORT"},
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
