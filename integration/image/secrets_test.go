package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

// spellings are the forms in which a password could appear: as it is, and in JSON.
func spellings(password string) [][]byte {
	return [][]byte{[]byte(password), bytes.ReplaceAll([]byte(password), []byte(`\`), []byte(`\\`))}
}

func TestPasswordIsNowhereInTheImage(t *testing.T) {
	for _, mode := range []string{inSecrets, inImage} {
		image := save(t, mode)
		config, err := image.RawConfigFile()
		must.OK(t, err)
		history, err := containers.Run(t.Context(), "history", "--no-trunc", "--format={{json .}}", tag(mode))
		must.OK(t, err)
		inspected, err := containers.Run(t.Context(), "image", "inspect", tag(mode))
		must.OK(t, err)
		for what, content := range map[string][]byte{
			"layers": bytes.Join(layers(t, image), nil), "configuration": config,
			"history": []byte(history), "inspect": []byte(inspected),
		} {
			if len(content) == 0 {
				t.Errorf("%s: %s is empty", mode, what)
			}
			for user, password := range passwords {
				for _, spelling := range spellings(password) {
					if bytes.Contains(content, spelling) {
						t.Errorf("%s: %s holds %s's password", mode, what, user)
					}
				}
			}
		}
	}
}

// Secrets are in no process, no line of the log and no message, whatever clients send, and nothing
// passes for a line of the log. Only their files are written. An idle container ends when told to.
func TestSecretsAreInNoProcessAndNoLog(t *testing.T) {
	rig.StartOrigins(t, []int{80, 443}, nil)
	secrets := map[string]string{"the key of the nonces": rig.DigestKey, "what clients send": rig.HostileSecret}
	for user, password := range passwords {
		secrets[user+"'s password"] = password
	}
	for mode, written := range map[string][]string{inSecrets: {"keys", "passwords"}, inImage: nil} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, mode)
			must.OK(t, p.client().SendHostile())
			p.get("http://151.101.1.69/")
			p.tunnel("151.101.1.69:443").Close()
			p.awaitLog(`"method":"CONNECT"`, `"status":200`)
			for _, file := range []string{"environ", "cmdline"} {
				for where, content := range p.read(file) {
					for what, secret := range secrets {
						if bytes.Contains(content, []byte(secret)) {
							t.Errorf("%s holds %s", where, what)
						}
					}
				}
			}
			files, err := os.ReadDir(fmt.Sprintf("/proc/%d/root%s", p.mainPid(), container.RunDir))
			must.OK(t, err)
			var names []string
			for _, file := range files {
				names = append(names, file.Name())
			}
			if !slices.Equal(names, written) {
				t.Errorf("%s holds %q, want %q", container.RunDir, names, written)
			}
			p.signal("TERM")
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			stdout, stderr := p.logs()
			if n := strings.Count(stdout, "\n"); n < len(rig.Hostile) ||
				!strings.Contains(stderr, "served all connections") {
				t.Errorf("only %d lines for %d requests, or not all were served:\n%s", n, len(rig.Hostile), stderr)
			}
			for what, secret := range secrets {
				if strings.Contains(stdout+stderr, secret) {
					t.Errorf("the log holds %s", what)
				}
			}
			for line := range strings.Lines(stdout) {
				if !strings.HasPrefix(line, `{"egress":"`) || !json.Valid([]byte(line)) {
					t.Errorf("in the log: %s", line)
				}
			}
			for line := range strings.Lines(stderr) {
				if !strings.HasPrefix(line, "squid: ") && !strings.HasPrefix(line, "entrypoint: ") {
					t.Errorf("a message without a prefix: %s", line)
				}
			}
		})
	}
}

// No process can gain privileges: Fargate has no option against it, so the entrypoint renounces
// them. A task cannot fill its disk: Squid needs /dev/shm, and the secrets a directory.
func TestAContainerIsConfined(t *testing.T) {
	p := start(t, inSecrets)
	for where, status := range p.read("status") {
		for _, want := range []string{
			"NoNewPrivs:\t1\n", "CapPrm:\t0000000000000000\n", "CapBnd:\t0000000000000000\n",
			"Uid:\t10001\t10001\t10001\t10001\n",
		} {
			if !bytes.Contains(status, []byte(want)) {
				t.Errorf("%s: not %q:\n%s", where, want, status)
			}
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", p.mainPid()))
	must.OK(t, err)
	writable := map[string]string{} // mount point → the file system's options
	for line := range strings.Lines(string(mounts)) {
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
