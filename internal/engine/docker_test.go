package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever a daemon has by default lies where the machine's own has it.
func TestTheDaemonKeepsToItsDirectory(t *testing.T) {
	d := &daemon{dir: "/store", limits: []string{"nofile=1:1"}}
	arguments := d.arguments()
	for _, want := range []string{
		"--config-file=/store/daemon.json", "--data-root=/store/data", "--exec-root=/store/run", "--pidfile=/store/docker.pid", "--host=unix:///store/docker.sock",
		"--bridge=none", "--iptables=false", "--ip-forward=false", "--userland-proxy=false", "--default-ulimit=nofile=1:1",
	} {
		if !slices.Contains(arguments, want) {
			t.Errorf("%q lacks %s", arguments, want)
		}
	}
}

func TestTheUsersDockerSettingsHoldForNoCommand(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"docker", "dockerd"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	for _, name := range []string{"DOCKER_CONTEXT", "DOCKER_HOST", "DOCKER_BUILDKIT", "DOCKER_DEFAULT_PLATFORM", "BUILDX_BUILDER", "BUILDKIT_HOST"} {
		t.Setenv(name, "the-users")
	}
	t.Setenv("KEPT", "the-machines")
	// The test's own may have too long a name.
	dir, err := os.MkdirTemp("/var/tmp", "squidfleet-engine-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	f, err := newDocker(dir)
	if err != nil {
		t.Fatal(err)
	}
	environ := f.environ()
	if found := slices.IndexFunc(environ, func(variable string) bool { return strings.HasSuffix(variable, "=the-users") }); found >= 0 {
		t.Error(environ[found])
	}
	for _, want := range []string{"KEPT=the-machines", "DOCKER_HOST=unix://" + dir + "/docker.sock", "DOCKER_CONFIG=" + dir + "/client"} {
		if !slices.Contains(environ, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestADirectoryThatIsTooLongForTheSocketsIsRefused(t *testing.T) {
	room := 104 - len("/run/containerd/containerd-debug.sock")
	for length, fit := range map[int]bool{room: true, room + 1: false} {
		if err := fits("/" + strings.Repeat("x", length-1)); (err == nil) != fit {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

func TestABuildBeginsWithTheBase(t *testing.T) {
	for _, name := range os.Environ() {
		if name, _, _ := strings.Cut(name, "="); strings.HasSuffix(strings.ToLower(name), "_proxy") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("https_proxy", "http://user:secret@proxy.example:3128")
	dir := t.TempDir()
	dockerfile := filepath.Join(dir, "Dockerfile")
	text := "# FROM here\nFROM docker.io/library/debian:trixie-20260918-slim" + digest + " AS build\nRUN true\nFROM scratch\nCOPY --from=build /x /\n"
	if err := os.WriteFile(dockerfile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := fromBase(dir, dockerfile, "the.registry/debian:other")
	if err != nil {
		t.Fatal(err)
	}
	file, found := strings.CutPrefix(options[0], "--file=")
	if !found || !slices.Equal(options[1:], []string{"--build-arg=https_proxy"}) {
		t.Fatalf("options %q", options)
	}
	content, err := os.ReadFile(file)
	if want := "# FROM here\nFROM the.registry/debian:other AS build\nRUN true\nFROM scratch\nCOPY --from=build /x /\n"; string(content) != want {
		t.Errorf("%q, %v; want %q", content, err, want)
	}
	if content, _ := os.ReadFile(dockerfile); string(content) != text {
		t.Errorf("the Dockerfile itself is %q now", content)
	}
}

// Two daemons on one directory would spoil it, and one whose process was killed outlives it by a little.
func TestADaemonWaitsForTheOneBefore(t *testing.T) {
	d := &daemon{dir: t.TempDir()}
	pidfile := filepath.Join(d.dir, "docker.pid")
	before := exec.Command("/bin/sh", "-c", "sleep 0.3; exit 0", d.dir)
	if err := before.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		before.Wait()
	}()
	for _, pid := range []int{before.Process.Pid, os.Getpid()} { // the second is another program's by now
		if err := os.WriteFile(pidfile, fmt.Append(nil, pid), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.awaitNoOther(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(100 * time.Millisecond):
			t.Fatal("has not waited")
		}
		if _, err := os.Stat(pidfile); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the daemon would find %s: %v", pidfile, err)
		}
	}
}
