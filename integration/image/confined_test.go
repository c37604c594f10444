package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/proxyimage/container"
)

// No process can gain privileges: Fargate has no option against it, so the entrypoint renounces
// them. A task cannot fill its disk: Squid needs /dev/shm, and the secrets a directory.
func TestAContainerIsConfined(t *testing.T) {
	p := start(t, inSecrets)
	for where, status := range p.read("status") {
		for _, want := range []string{
			"NoNewPrivs:\t1\n", "CapPrm:\t0000000000000000\n", "CapBnd:\t0000000000000000\n",
			"Uid:\t10001\t10001\t10001\t10001\n",
		} {
			if !strings.Contains(status, want) {
				t.Errorf("%s: not %q:\n%s", where, want, status)
			}
		}
	}
	writable := map[string]string{} // mount point → the file system's options
	for line := range strings.Lines(readFile(t, fmt.Sprintf("/proc/%d/mountinfo", p.mainPid()))) {
		mount, system, _ := strings.Cut(line, " - ")
		fields, options := strings.Fields(mount), strings.Fields(system)
		if strings.HasPrefix(fields[5], "rw,") {
			writable[fields[4]] = options[len(options)-1]
		}
	}
	_, root := writable["/"]
	_, runs := writable[container.RunDir]
	if root || !runs || !strings.Contains(writable["/dev/shm"], "size=65536k") {
		t.Errorf("writable: %v, want %s, and /dev/shm with 64 MB, as Docker's", writable, container.RunDir)
	}
}

// ECS runs the health check every ten seconds as Squid's user, with all secrets in its environment.
func TestSecretsOfARunningHealthCheckAreHiddenFromSquidsUser(t *testing.T) {
	p := start(t, inSecrets)
	squid := p.squidPid()
	must.OK(t, syscall.Kill(squid, syscall.SIGSTOP))
	defer syscall.Kill(squid, syscall.SIGCONT)
	ended := make(chan error, 1)
	go func() { ended <- p.health() }()
	var pid int
	must.Await(t, "a health check", func() bool {
		pid = p.healthPid()
		return pid != 0
	})
	environ := fmt.Sprintf("/proc/%d/environ", pid)
	if content, err := os.ReadFile(environ); err != nil || !bytes.Contains(content, []byte(passwords["alice"])) {
		t.Fatalf("there is nothing to hide: %q, %v", content, err)
	}
	reader := exec.Command("cat", environ)
	reader.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: container.UID, Gid: container.GID}}
	if output, err := reader.CombinedOutput(); err == nil || !bytes.Contains(output, []byte("Permission denied")) {
		t.Errorf("user %d reads %q, %v", container.UID, output, err)
	}
	if err := <-ended; err == nil {
		t.Error("a Squid that hangs is healthy")
	}
}

// healthPid is the process of a health check in the container, or 0.
func (p *proxy) healthPid() int {
	p.t.Helper()
	namespace := func(pid int) string {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.t.Fatal(err)
		}
		return link
	}
	ours := namespace(p.mainPid())
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must.OK(p.t, err)
	for _, command := range commands {
		content, _ := os.ReadFile(command) // or it has ended
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(command)))
		must.OK(p.t, err)
		if string(content) == container.EntrypointPath+"\x00"+container.Health+"\x00" && namespace(pid) == ours {
			return pid
		}
	}
	return 0
}
