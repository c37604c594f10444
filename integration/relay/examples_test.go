package relay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"go.yaml.in/yaml/v3"

	"squidfleet/internal/engine"
	"squidfleet/internal/must"
	"squidfleet/internal/relay"
)

// examples are the files of docs/relay.
const examples = "../../docs/relay"

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	must.OK(t, err)
	return text
}

// static builds the program as the Dockerfile says, into a build context with the Dockerfile.
func static(t *testing.T) (dir, program string) {
	t.Helper()
	dir = t.TempDir()
	program = filepath.Join(dir, "squidfleet")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "squidfleet/cmd/squidfleet")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	must.OK(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), read(t, "Dockerfile"), 0o600))
	return dir, program
}

// The image is small, has no shell and no root, and serves as the sidecars start it.
func TestTheImageServes(t *testing.T) {
	o := startOrigin(t)
	f := startFleet(t, 1, 35340, o.address, nil)
	context_, _ := static(t)
	store, err := os.MkdirTemp("/var/tmp", "squidfleet-relay-")
	must.OK(t, err)
	e, err := engine.New(store)
	must.OK(t, err)
	t.Cleanup(func() {
		must.OK(t, e.Close())
	})
	ctx := context.Background()
	run := func(arguments ...string) string {
		t.Helper()
		out, err := e.Run(ctx, arguments...)
		must.OK(t, err)
		return strings.TrimSpace(out)
	}
	run("build", "--tag=relay", "--pull=never", context_)
	var size int
	fmt.Sscan(run("image", "inspect", "--format={{.Size}}", "relay"), &size)
	if size == 0 || size > 25<<20 {
		t.Errorf("the image has %d bytes", size)
	}
	task, pod := taskDefinition(t), pod(t)
	if !slices.Equal(task.Command, pod.Args) ||
		!slices.Equal(task.HealthCheck.Command[1:], pod.LivenessProbe.Exec.Command) {
		t.Errorf("the sidecars differ: %q and %q", task, pod)
	}
	command := slices.Clone(pod.Args)
	for i, word := range command {
		command[i] = strings.Replace(word, "crawler@proxy.example.com:35201?addresses=5",
			"alice@127.0.0.1:35340?addresses=1", 1)
	}
	// There is nothing that could be written, and no privilege.
	password := f.options.Passwords[0].Password
	id := run(slices.Concat([]string{"create", "--network=host", "--read-only", "--read-only-tmpfs=false",
		"--cap-drop=all", "--env=SQUIDFLEET_PASSWORD=" + password, "relay"}, command)...)
	run("start", id)
	healthy := errors.New("not asked")
	for range 100 {
		if _, healthy = e.Run(ctx, append([]string{"exec", id}, pod.LivenessProbe.Exec.Command...)...); healthy == nil {
			break
		}
	}
	if healthy != nil {
		t.Fatal(healthy, run("logs", id))
	}
	for _, scheme := range []string{"http://", "https://"} {
		if _, err := egress(client("127.0.0.1:3128", "cart-42", o), scheme+o.address.String()); err != nil {
			t.Error(err)
		}
	}
	if _, err := e.Run(ctx, "exec", id, "/bin/sh", "-c", "true"); err == nil {
		t.Error("it has a shell")
	}
	if user := run("inspect", "--format={{.Config.User}}", id); user != "10001:10001" {
		t.Errorf("it runs as %q", user)
	}
	run("stop", "--time=30", id)
	if code := run("inspect", "--format={{.State.ExitCode}}", id); code != "0" {
		t.Errorf("it ended with %s", code)
	}
	if logs := run("logs", id); !strings.Contains(logs, `"event":"request"`) || strings.Contains(logs, password) {
		t.Error(logs)
	}
}

// sidecar is what the examples' containers have in common.
type sidecar struct {
	Args          []string
	LivenessProbe struct{ Exec struct{ Command []string } } `yaml:"livenessProbe"`
}

func taskDefinition(t *testing.T) (relay struct {
	Command     []string
	HealthCheck struct{ Command []string }
}) {
	t.Helper()
	text := read(t, "task-definition.json")
	// AWS's own type: no name may be wrong.
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var task ecs.RegisterTaskDefinitionInput
	must.OK(t, decoder.Decode(&task))
	for _, c := range task.ContainerDefinitions {
		if *c.Name == "relay" {
			relay.Command, relay.HealthCheck.Command = c.Command, c.HealthCheck.Command
		}
	}
	return relay
}

func pod(t *testing.T) (relay sidecar) {
	t.Helper()
	var pod struct {
		Spec struct {
			InitContainers []struct {
				Name    string
				sidecar `yaml:",inline"`
			} `yaml:"initContainers"`
		}
	}
	must.OK(t, yaml.Unmarshal(read(t, "pod.yaml"), &pod))
	return pod.Spec.InitContainers[0].sidecar
}

// The unit is one that systemd takes, and its command one that the relay takes.
func TestTheUnitIsRight(t *testing.T) {
	dir, program := static(t)
	unit := string(read(t, "squidfleet-relay.service"))
	unit = strings.Replace(unit, "/usr/local/bin/squidfleet", program, 1)
	path := filepath.Join(dir, "squidfleet-relay.service")
	must.OK(t, os.WriteFile(path, []byte(unit), 0o600))
	out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), path) {
		t.Errorf("%v\n%s", err, out)
	}
	password := filepath.Join(dir, "password")
	must.OK(t, os.WriteFile(password, []byte("secret\n"), 0o600))
	_, line, _ := strings.Cut(unit, "ExecStart=")
	line, _, _ = strings.Cut(strings.Replace(line, "%d", dir, 1), "\n")
	command := exec.Command("sh", "-c", "ulimit -n 30; exec "+line+" --json")
	lines, err := command.StdoutPipe()
	must.OK(t, err)
	must.OK(t, command.Start())
	defer command.Wait()
	defer command.Process.Kill()
	text, err := bufio.NewReader(lines).ReadString('\n')
	var ready relay.Status
	if err == nil {
		err = json.Unmarshal([]byte(text), &ready)
	}
	if err != nil || ready.Listen != "127.0.0.1:3128" || len(ready.Fleets) != 1 || len(ready.Fleets[0].Ports) != 6 {
		t.Fatalf("%q, %v", text, err)
	}
	// More clients than descriptors do not end it.
	var clients []net.Conn
	for range 60 {
		c, err := net.Dial("tcp", ready.Listen)
		must.OK(t, err)
		clients = append(clients, c)
	}
	if err := exec.Command(program, "relay", "--health").Run(); err == nil {
		t.Error("it has descriptors left")
	}
	for _, c := range clients {
		c.Close()
	}
	if out, err := exec.Command(program, "relay", "--health").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
