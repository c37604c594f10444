package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
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

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == fakeName {
		os.Exit(fakeSquid(os.Args[1:]))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
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

// fixture is a working directory with a fake Squid.
type fixture struct {
	t           *testing.T
	directory   string
	environment []string
	clients     netip.AddrPort // where the fake listens
}

func newFixture(t *testing.T, todo script, environment ...string) *fixture {
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
	content, err := json.Marshal(todo)
	must.OK(t, err)
	f.write(scriptFile, string(content))
	self, err := os.Executable()
	must.OK(t, errors.Join(err, os.Mkdir(f.path(container.Run), 0o700), os.Symlink(self, f.path(fakeName))))
	return f
}

func (f *fixture) path(name string) string { return filepath.Join(f.directory, name) }

func (f *fixture) write(name, content string) {
	f.t.Helper()
	must.OK(f.t, os.WriteFile(f.path(name), []byte(content), 0o644))
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

// serving starts an entrypoint and returns once the fake Squid serves.
func (f *fixture) serving() *process {
	f.t.Helper()
	return f.command().start().serves()
}

func (p *process) serves() *process {
	p.t.Helper()
	must.Await(p.t, "Squid", func() bool { return strings.Contains(p.stdout.String(), readyLine) })
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

func (f *fixture) called(name string) (c call) {
	f.t.Helper()
	content, err := os.ReadFile(f.path(name))
	if err == nil {
		err = json.Unmarshal(content, &c)
	}
	must.OK(f.t, err)
	return c
}

func (f *fixture) exists(name string) bool {
	_, err := os.Lstat(f.path(name))
	return err == nil
}

func (f *fixture) neverCalled(name string) {
	f.t.Helper()
	if f.exists(name) {
		f.t.Errorf("%s: Squid was started", name)
	}
}

func (f *fixture) signals() string {
	content, err := os.ReadFile(f.path(signalsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Fatal(err)
	}
	return string(content)
}

// connect opens a connection to the fake Squid that answers.
func (f *fixture) connect() net.Conn {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.clients.String())
	must.OK(f.t, err)
	f.t.Cleanup(func() { conn.Close() })
	f.answers(conn)
	return conn
}

func (f *fixture) answers(conn net.Conn) {
	f.t.Helper()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, err := conn.Write([]byte("x"))
	must.OK(f.t, err)
	_, err = conn.Read(make([]byte, 1))
	must.OK(f.t, err)
}
