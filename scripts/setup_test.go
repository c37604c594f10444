// Package scripts holds the test of the project's shell script.
package scripts

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is one with nothing on it but what the script itself is written in.
type machine struct {
	root, bin string
	script    string
}

const policy = "usr/sbin/policy-rc.d"

// newMachine makes a machine whose apt-get installs every package but those named: what is installed is a program of the package's name.
func newMachine(t *testing.T, distribution string, refused ...string) *machine {
	t.Helper()
	root := t.TempDir()
	m := &machine{root: root, bin: filepath.Join(root, "bin"), script: filepath.Join(root, "scripts", "setup.sh")}
	text, err := os.ReadFile("setup.sh")
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "scripts/setup.sh", string(text))
	m.write(t, "etc/os-release", "NAME=x\nID="+distribution+"\n")
	m.write(t, "usr/sbin/keep", "")
	for _, program := range []string{"sh", "dirname", "grep", "xargs", "tee", "chmod", "rm", "env", "id", "sleep", "echo"} {
		path, err := exec.LookPath(program)
		if err == nil {
			err = os.MkdirAll(m.bin, 0o755)
		}
		if err == nil {
			err = os.Symlink(path, filepath.Join(m.bin, program))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m.program(t, "sudo", `exec "$@"`)
	m.program(t, "apt-get", `
test "$2" = update && exit 0
test -x "$SETUP_ROOT/`+policy+`" || exit 100
for package; do
	case " `+strings.Join(refused, " ")+` " in *" $package "*) exit 100 ;; esac
done
for package; do
	case $package in -* | install) continue ;; esac
	echo "#!/bin/sh" >"$SETUP_ROOT/bin/$package"
	chmod 755 "$SETUP_ROOT/bin/$package"
done`)
	return m
}

func (m *machine) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(m.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) program(t *testing.T, name, text string) {
	t.Helper()
	m.write(t, "bin/"+name, "#!/bin/sh\n"+text+"\n")
}

func (m *machine) command(tools ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(m.bin, "sh"), append([]string{m.script}, tools...)...)
	command.Env = []string{"PATH=" + m.bin, "SETUP_ROOT=" + m.root}
	return command
}

// run returns the exit code and what is said to be missing.
func (m *machine) run(t *testing.T, environment string, tools ...string) (code int, missing []string, output string) {
	t.Helper()
	command := m.command(tools...)
	command.Env = append(command.Env, environment)
	text, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "setup: missing: "); found {
			tool, _, _ := strings.Cut(rest, ":")
			missing = append(missing, tool)
		}
	}
	if _, err := os.Stat(filepath.Join(m.root, policy)); err == nil {
		t.Error("services stay off after the script")
	}
	return command.ProcessState.ExitCode(), missing, string(text)
}

func TestWhatCannotBeInstalledKeepsNothingElseAway(t *testing.T) {
	m := newMachine(t, "debian", "curl")
	code, missing, output := m.run(t, "", "debootstrap", "curl", "shellcheck", "go")
	if code != 1 || strings.Join(missing, " ") != "curl go" {
		t.Errorf("exit code %d, missing %q:\n%s", code, missing, output)
	}
}

func TestWhatIsThereIsNotInstalled(t *testing.T) {
	m := newMachine(t, "debian", "curl")
	m.program(t, "curl", "")
	if code, _, output := m.run(t, "", "curl"); code != 0 || output != "" {
		t.Errorf("exit code %d:\n%s", code, output)
	}
}

func TestUbuntusChromiumIsNotTaken(t *testing.T) {
	for _, c := range []struct {
		distribution, stub, chrome string
		missing                    bool
	}{
		{"debian", "", "", false},
		{"ubuntu", "", "", true},
		{"ubuntu", "exit 1", "", true},
		{"ubuntu", "exit 1", "exit 0", false},
	} {
		m := newMachine(t, c.distribution)
		if c.stub != "" {
			m.program(t, "chromium-browser", c.stub)
		}
		if c.chrome != "" {
			m.program(t, "google-chrome", c.chrome)
		}
		code, missing, output := m.run(t, "", "chromium")
		if (code != 0) != c.missing || (len(missing) == 1) != c.missing || c.missing && !strings.Contains(output, "install Google Chrome") {
			t.Errorf("%+v: exit code %d:\n%s", c, code, output)
		}
	}
}

func TestNodeIsNewEnough(t *testing.T) {
	for version, want := range map[string]int{"v20.19.1": 1, "v21.0.0": 1, "v22.0.0": 0, "v24.9.0": 0, "v30.1.0": 0, "v100.0.0": 0, "v2.2.0": 1} {
		m := newMachine(t, "debian")
		m.program(t, "node", "echo "+version)
		if code, _, output := m.run(t, "", "node"); code != want {
			t.Errorf("%s: exit code %d:\n%s", version, code, output)
		}
	}
}

func TestAContainerEngineRunsOrIsNamed(t *testing.T) {
	for _, c := range []struct {
		docker, podman, cdkDocker string
		want                      int
	}{
		{"", "", "", 1},
		{"exit 1", "", "", 1}, // the client without the daemon
		{"exit 0", "", "", 0},
		{"", "exit 0", "", 1},
		{"", "exit 0", "CDK_DOCKER=podman", 0},
		{"exit 0", "", "CDK_DOCKER=podman", 1},
	} {
		m := newMachine(t, "debian")
		for name, text := range map[string]string{"docker": c.docker, "podman": c.podman} {
			if text != "" {
				m.program(t, name, text)
			}
		}
		code, _, output := m.run(t, c.cdkDocker, "engine")
		if code != c.want || code != 0 && !strings.Contains(output, "CDK_DOCKER=podman") {
			t.Errorf("%+v: exit code %d:\n%s", c, code, output)
		}
	}
}

func TestEitherEngineDoesForTheTests(t *testing.T) {
	for _, c := range []struct {
		there     []string
		installed bool
	}{
		{nil, true},
		{[]string{"bin/podman"}, true}, // without runc
		{[]string{"bin/runc"}, true},
		{[]string{"bin/docker"}, true}, // the client without the daemon
		{[]string{"bin/dockerd"}, true},
		{[]string{"bin/podman", "bin/runc"}, false},
		{[]string{"bin/podman", "usr/sbin/runc"}, false},
		{[]string{"bin/docker", "bin/dockerd"}, false},
		{[]string{"bin/docker", "usr/sbin/dockerd"}, false},
	} {
		m := newMachine(t, "debian")
		for _, program := range c.there {
			m.write(t, program, "#!/bin/sh\nexit 1\n") // the daemon need not run
		}
		code, _, output := m.run(t, "", "containers")
		if installed := strings.Contains(output, "setup: installing podman runc uidmap\n"); code != 0 || installed != c.installed {
			t.Errorf("%v: exit code %d:\n%s", c.there, code, output)
		}
	}
}

func TestWithoutAnEngineForTheTestsBothAreNamed(t *testing.T) {
	for _, refused := range []string{"podman", "runc"} {
		m := newMachine(t, "debian", refused)
		m.program(t, "docker", "exit 0") // a client of somebody else's daemon
		code, missing, output := m.run(t, "", "containers")
		if code != 1 || strings.Join(missing, " ") != "containers" || !strings.Contains(output, "install podman with runc, or docker with its daemon, dockerd") {
			t.Errorf("no %s: exit code %d, missing %q:\n%s", refused, code, missing, output)
		}
	}
}

func TestASignalLeavesServicesOn(t *testing.T) {
	// Whoever runs the tests under nohup has them ignore SIGHUP, and so would the script.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		m := newMachine(t, "debian")
		m.program(t, "apt-get", `echo >"$SETUP_ROOT/started"; sleep 60`)
		command := m.command("curl")
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(m.root, "started")); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Error("apt-get was never called")
				break
			}
		}
		if _, err := os.Stat(filepath.Join(m.root, policy)); err != nil {
			t.Errorf("services are on while packages are installed: %v", err)
		}
		if err := syscall.Kill(-command.Process.Pid, signal); err != nil {
			t.Error(err)
		}
		command.Wait()
		if code := command.ProcessState.ExitCode(); code != want {
			t.Errorf("%v: exit code %d, want %d", signal, code, want)
		}
		if _, err := os.Stat(filepath.Join(m.root, policy)); !os.IsNotExist(err) {
			t.Errorf("%v: services stay off: %v", signal, err)
		}
	}
}

func TestAPolicyOfTheMachinesOwnStays(t *testing.T) {
	m := newMachine(t, "debian")
	m.write(t, policy, "the machine's own")
	if output, err := m.command("curl").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	if text, err := os.ReadFile(filepath.Join(m.root, policy)); string(text) != "the machine's own" {
		t.Errorf("%q, %v", text, err)
	}
}
