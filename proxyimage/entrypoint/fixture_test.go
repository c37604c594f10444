package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

// confined is set in the environment of the copy that runs one test behind the filter.
const confined = "CONFINED"

func testMain(m *testing.M) int {
	if os.Getenv(confined) != "" {
		return m.Run()
	}
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

const (
	credentialsInImage = container.EnvCredentials + "=" + string(container.CredentialsImage)
	nonceKey           = "0123456789abcdefghijklmnopqrstuvwxyz-key1"
)

// secrets is a complete environment of the other mode.
var secrets = []string{
	container.EnvCredentials + "=" + string(container.CredentialsSecretsManager),
	container.EnvRealm + "=squidfleet",
	container.EnvUsers + "=alice,bob-2",
	container.EnvPassword + "ALICE=open sesame",
	container.EnvPassword + "BOB_2=swordfish",
}

// fake is a Squid of shell commands: for the check of the configuration, and for a run.
type fake struct{ check, run string }

const (
	fakeName = "squid"
	// checked and ran are files with the process that Squid was started as.
	checked, ran = "started-k", "started-n"
	// serve notes each signal and ends with code 5 at one that stops it.
	serve = `
for signal in TERM INT QUIT; do trap "echo $signal >> signals; exit 5" $signal; done
for signal in HUP USR1 USR2; do trap "echo $signal >> signals" $signal; done
` + lasts
	lasts = `
echo ready
while sleep 0.02; do :; done
`
)

// serving is a Squid that runs until a signal stops it.
var serving = fake{run: serve}

// fixture is a working directory with a fake Squid.
type fixture struct {
	t           *testing.T
	directory   string
	environment []string
	clients     netip.AddrPort // where Squid is to listen
}

func newFixture(t *testing.T, squidIs fake, environment ...string) *fixture {
	t.Helper()
	f := &fixture{t: t, directory: t.TempDir()}
	f.environment = append([]string{
		"PATH=" + os.Getenv("PATH"),
		container.EnvDir + "=" + f.directory,
		container.EnvSquid + "=" + f.path(fakeName),
		container.EnvEgressURL + "=" + container.EgressOff,
		container.EnvAuth + "=" + string(squid.AuthDigest),
		container.EnvDigest + "=" + string(squid.DigestSquid),
	}, environment...)
	// Each fixture has another loopback address, so that the port is free.
	b := make([]byte, 3)
	rand.Read(b)
	address := netip.AddrFrom4([4]byte{127, 1 + b[0]%254, b[1], 1 + b[2]%254})
	f.clients = netip.AddrPortFrom(address, 35201)
	f.write(container.SquidConf, fmt.Sprintf("# A comment.\nhttp_port %s require-proxy-header\n"+
		"http_port 127.0.0.1:1 require-proxy-header name=health\n", f.clients))
	script := "#!/bin/sh\necho $$ > started$1\ncase $1 in -k)\n" + squidIs.check + "\nexit;; esac\n" + squidIs.run
	must.OK(t, os.WriteFile(f.path(fakeName), []byte(script), 0o700))
	must.OK(t, os.Mkdir(f.path(container.Run), 0o700))
	return f
}

func (f *fixture) path(name string) string { return filepath.Join(f.directory, name) }

func (f *fixture) write(name, content string) {
	f.t.Helper()
	must.OK(f.t, os.WriteFile(f.path(name), []byte(content), 0o644))
}

// read returns what a file holds, or nothing if there is none.
func (f *fixture) read(name string) string {
	f.t.Helper()
	content, err := os.ReadFile(f.path(name))
	if !errors.Is(err, fs.ErrNotExist) {
		must.OK(f.t, err)
	}
	return string(content)
}

// signals are those that Squid got.
func (f *fixture) signals() string { return strings.Join(strings.Fields(f.read("signals")), " ") }

// pid is the process that a file names, 0 if there is no such file.
func (f *fixture) pid(file string) int {
	f.t.Helper()
	pid, _ := strconv.Atoi(strings.TrimSpace(f.read(file)))
	return pid
}

type process struct {
	*exec.Cmd
	t              *testing.T
	stdout, stderr rig.Buffer
}

func (f *fixture) command(arguments ...string) *process {
	p := &process{Cmd: exec.Command(program, arguments...), t: f.t}
	p.Env = f.environment
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	return p
}

func (p *process) start() *process {
	p.t.Helper()
	must.OK(p.t, p.Start())
	p.t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	return p
}

// serving starts an entrypoint and returns once Squid is ready.
func (f *fixture) serving() *process {
	f.t.Helper()
	return f.command().start().serves()
}

func (p *process) serves() *process {
	p.t.Helper()
	must.Await(p.t, "Squid", func() bool { return strings.Contains(p.stdout.String(), "ready\n") })
	return p
}

// ends waits for the process and checks its exit code, or minus the number of the signal that
// ended it.
func (p *process) ends(want int) {
	p.t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { p.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	status := p.ProcessState.Sys().(syscall.WaitStatus)
	code := status.ExitStatus()
	if status.Signaled() {
		code = -int(status.Signal())
	}
	if code != want {
		p.t.Errorf("exit code %d, want %d; stderr:\n%s", code, want, &p.stderr)
	}
}

func (p *process) waitForMessage(text string) {
	p.t.Helper()
	must.Await(p.t, text, func() bool { return strings.Contains(p.stderr.String(), text) })
}

// connect opens a client's connection, which the kernel accepts for Squid.
func (f *fixture) connect() {
	f.t.Helper()
	listener, err := net.Listen("tcp", f.clients.String())
	must.OK(f.t, err)
	conn, err := net.Dial("tcp", f.clients.String())
	must.OK(f.t, err)
	f.t.Cleanup(func() { conn.Close(); listener.Close() })
}
