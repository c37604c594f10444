package image

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

type proxy struct {
	t     testing.TB
	id    string
	fleet published
	addr  netip.AddrPort
}

// prepare creates a container. The end of the test removes it.
func prepare(t testing.TB, mode string, options ...string) *proxy {
	t.Helper()
	fleet, ours := fleets[mode]
	if ours {
		asTaskDefinition, err := fleet.task.options()
		must.OK(t, err)
		options = append(asTaskDefinition, options...)
	}
	id, err := containers.Create(context.Background(), tag(mode), options...)
	must.OK(t, err)
	var port uint16 = usualPort
	if ours {
		port = fleet.task.ContainerDefinitions[0].PortMappings[0].ContainerPort
	}
	p := &proxy{t: t, id: id, fleet: fleet, addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)}
	t.Cleanup(func() {
		if t.Failed() {
			stdout, stderr := p.logs()
			t.Logf("stdout of the container:\n%s\nstderr:\n%s", stdout, stderr)
		}
		if err := containers.Remove(context.Background(), p.id); err != nil {
			t.Error(err)
		}
	})
	return p
}

// create starts a container without waiting for its listener.
func create(t testing.TB, mode string, options ...string) *proxy {
	t.Helper()
	p := prepare(t, mode, options...)
	p.run("start")
	return p
}

// start starts a container and waits until it accepts connections.
func start(t testing.TB, mode string, options ...string) *proxy {
	t.Helper()
	p := create(t, mode, options...)
	p.awaitListener()
	return p
}

// awaitListener waits for the clients' port and the next one, the health check's, which the usual
// recipe lacks.
func (p *proxy) awaitListener() {
	p.t.Helper()
	ports := []uint16{p.addr.Port()}
	if p.fleet.context != "" {
		ports = append(ports, p.addr.Port()+1)
	}
	for _, port := range ports {
		p.awaitPort(netip.AddrPortFrom(p.addr.Addr(), port))
	}
}

func (p *proxy) awaitPort(address netip.AddrPort) {
	p.t.Helper()
	must.Await(p.t, fmt.Sprint("a listener at ", address), func() bool {
		conn, err := net.DialTimeout("tcp", address.String(), time.Second)
		if err == nil {
			conn.Close()
		} else if state := p.inspect("{{.State.Status}}"); state == "exited" {
			p.t.Fatal("the container ended instead of listening")
		}
		return err == nil
	})
}

// run runs a command of the engine on the container.
func (p *proxy) run(arguments ...string) string {
	p.t.Helper()
	out, err := containers.Run(context.Background(), append(arguments, p.id)...)
	must.OK(p.t, err)
	return strings.TrimSpace(out)
}

func (p *proxy) inspect(format string) string {
	p.t.Helper()
	return p.run("inspect", "--type=container", "--format="+format)
}

func (p *proxy) signal(name string) {
	p.t.Helper()
	p.run("kill", "--signal="+name)
}

// health runs the health check in the container, as ECS does.
func (p *proxy) health() error {
	p.t.Helper()
	command := p.fleet.task.ContainerDefinitions[0].HealthCheck.Command
	if command[0] != "CMD" {
		p.t.Fatalf("health check %q: needs a shell, which the image lacks", command)
	}
	_, err := containers.Run(context.Background(), append([]string{"exec", p.id}, command[1:]...)...)
	return err
}

// wait waits for the container's end and returns its exit code.
func (p *proxy) wait() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := containers.Run(ctx, "wait", p.id)
	must.OK(p.t, err)
	code, err := strconv.Atoi(strings.TrimSpace(out))
	must.OK(p.t, err)
	return code
}

func (p *proxy) logs() (stdout, stderr string) {
	p.t.Helper()
	stdout, stderr, err := containers.Output(context.Background(), "logs", p.id)
	must.OK(p.t, err)
	return stdout, stderr
}

// awaitLog waits until a line of the access log holds all the words, and returns it.
func (p *proxy) awaitLog(words ...string) (found string) {
	p.t.Helper()
	must.Await(p.t, fmt.Sprintf("a line of the log with %q", words), func() bool {
		stdout, _ := p.logs()
		for line := range strings.Lines(stdout) {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				found = line
			}
		}
		return found != ""
	})
	return found
}

// client is alice behind the load balancer.
func (p *proxy) client() rig.Client {
	return rig.Client{
		Task: p.addr, From: loadBalancer, Header: rig.ProxyHeader(insider), User: "alice", Password: passwords["alice"],
	}
}

func (p *proxy) get(target string) *rig.Response {
	p.t.Helper()
	response, err := p.client().Request("GET", target)
	must.OK(p.t, err)
	return response
}

func (p *proxy) tunnel(target string) net.Conn {
	p.t.Helper()
	conn, response, err := p.client().Tunnel(target)
	must.OK(p.t, err)
	if conn == nil {
		p.t.Fatalf("no tunnel: %s", response.Status)
	}
	p.t.Cleanup(func() { conn.Close() })
	return conn
}

// mainPid is the entrypoint's process outside the container.
func (p *proxy) mainPid() int {
	p.t.Helper()
	pid, err := strconv.Atoi(p.inspect("{{.State.Pid}}"))
	must.OK(p.t, err)
	return pid
}

// processes lists the container's processes by program name.
func (p *proxy) processes() map[string][]int {
	p.t.Helper()
	found := map[string][]int{}
	var visit func(pid int)
	visit = func(pid int) {
		if name := rig.Program(pid); name != "" {
			found[name] = append(found[name], pid)
		}
		for _, child := range rig.Children(pid, "*") {
			visit(child)
		}
	}
	visit(p.mainPid())
	return found
}

// read returns a file that each of the container's processes has in /proc.
func (p *proxy) read(file string) map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for name, pids := range p.processes() {
		for _, pid := range pids {
			all[fmt.Sprintf("%s of %s (%d)", file, name, pid)] = readFile(p.t, fmt.Sprintf("/proc/%d/%s", pid, file))
		}
	}
	if len(all) < 3 {
		p.t.Errorf("saw %d processes, want entrypoint, Squid and helper", len(all))
	}
	return all
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must.OK(t, err)
	return string(content)
}

// number returns the number that a pattern's group finds in a file.
func number(t testing.TB, path, pattern string) float64 {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(readFile(t, path))
	if found == nil {
		t.Fatalf("%s: no %s", path, pattern)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	must.OK(t, err)
	return value
}

// squidPid waits for the helpers, which have Squid's name until they run their own program.
func (p *proxy) squidPid() int {
	p.t.Helper()
	var pids []int
	must.Await(p.t, "one process named squid", func() bool {
		pids = p.processes()["squid"]
		return len(pids) == 1
	})
	return pids[0]
}
