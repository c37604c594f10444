package image

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/bench"
	"squidfleet/internal/capacity"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/squid"
)

const (
	capacityRounds = 3
	// A task gets its share every 100 ms, so a whole number of these counts.
	capacityTime = time.Second
)

var capacityConnections = []int{1, 16, 256, 1000}

// sizedTask is a task whose capacity is measured: Fargate's smallest memory for a cpu.
type sizedTask struct {
	cpu, memory int
	auth        squid.Auth

	*proxy
	file string // with its processor's time
	unit time.Duration
}

var sizedTasks = func() (tasks []*sizedTask) {
	for _, cpu := range []int{256, 512, 1024} {
		for _, auth := range []squid.Auth{squid.AuthDigest, squid.AuthBasic, squid.AuthNone} {
			tasks = append(tasks, &sizedTask{cpu: cpu, memory: 2 * cpu, auth: auth})
		}
	}
	return tasks
}()

func (s *sizedTask) mode() string { return fmt.Sprintf("cpu%d-%s", s.cpu, s.auth) }

// capacityContexts are the parameters of the sizedTasks, each with ports of its own.
func capacityContexts() map[string]map[string]any {
	contexts := map[string]map[string]any{}
	for i, s := range sizedTasks {
		contexts[s.mode()] = map[string]any{
			"clientCidrs": "198.51.100.0/24", "connectPorts": "443,8443", "cpu": s.cpu, "memory": s.memory,
			"auth": string(s.auth), "allowPlaintextBasic": true, "listenerPort": usualPort + 10*(i+1),
		}
		if s.auth.Passwords() {
			contexts[s.mode()]["users"] = "alice,bob"
		}
	}
	return contexts
}

// BenchmarkCapacity measures what one task carries that has a Fargate task's share of a core and
// its memory. It writes internal/capacity/figures.json, and from that the documents.
func BenchmarkCapacity(b *testing.B) {
	origins := rig.StartOrigins(b, []int{80}, []int{8443})
	body := strings.Repeat("x", 1024)
	origins.SetHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }))
	rig.StartBulk(b)
	rig.StartDNS(b).Set("origin.example", "151.101.1.69")

	for _, s := range sizedTasks {
		// The container's log would fill the disk.
		s.proxy = start(b, s.mode(), fmt.Sprintf("--cpus=%v", float64(s.cpu)/1024), "--log-opt=max-size=10mb")
		s.file, s.unit = s.cpuFile()
	}
	measured := make([][]measurements, len(sizedTasks))
	for i := range measured {
		measured[i] = make([]measurements, len(capacityConnections))
	}
	direct := make([]series, len(capacityConnections))
	for range capacityRounds {
		for level, connections := range capacityConnections {
			for i, s := range sizedTasks {
				pace := measured[i][level].round(s, connections)
				if i == 0 {
					who := rig.Client{Task: netip.MustParseAddrPort("151.101.1.69:80")}
					direct[level].add(s, rig.Loaders(connections, who), pace, capacityTime)
				}
			}
		}
	}
	f := capacity.Figures{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: processor(b), Cores: runtime.NumCPU(),
		Squid: sizedTasks[0].squidVersion(), Rounds: capacityRounds, Seconds: capacityTime.Seconds(),
	}
	for i, s := range sizedTasks {
		for level, connections := range capacityConnections {
			f.Loads = append(f.Loads, measured[i][level].load(s, connections, direct[level].latency()))
		}
		if s.auth == squid.AuthDigest {
			f.Sizes = append(f.Sizes, s.hold())
		}
	}
	b.Logf("\n%s\n%s", f.Table(), f.Measured())
	must.OK(b, f.Record(root))
	update := exec.Command("go", "test", "squidfleet/internal/capacity", "-update")
	if out, err := update.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
}

// measurements are those of a task with a number of connections, one a round.
type measurements struct{ requests, https, bulk, half series }

type series struct{ rate, task, clients, p50, p99 []float64 }

// round measures everything once. The pace is half of the rate of plain requests.
func (m *measurements) round(s *sizedTask, connections int) (pace rig.Job) {
	s.t.Helper()
	var who rig.Client
	switch who = s.client(); s.auth {
	case squid.AuthBasic:
		who.Algorithm = "Basic"
	case squid.AuthNone:
		who.User = ""
	}
	// Many connections go through their steps side by side, and end in waves.
	waves := capacityTime * time.Duration(1+connections/500)
	if s.auth == squid.AuthDigest {
		// First, while Squid has no closed connections of another job to clear away.
		m.bulk.add(s, rig.Loaders(connections, who), rig.Bulk, (capacityTime+waves)/2)
	}
	rate := m.requests.add(s, rig.Loaders(connections, who), rig.KeepAliveGets, (capacityTime+waves)/2)
	m.https.add(s, rig.Loaders(connections, who), rig.TLSTunnels, waves)
	pace = rig.PacedGets(time.Duration(float64(connections) / (rate / 2) * float64(time.Second)))
	m.half.add(s, rig.Loaders(connections, who), pace, capacityTime)
	return pace
}

// add measures once and returns the rate.
func (m *series) add(s *sizedTask, loaders []*rig.Loader, job rig.Job, length time.Duration) float64 {
	s.t.Helper()
	var task, clients, elapsed time.Duration
	var begin time.Time
	loaded, err := rig.Load(loaders, job, length, func() {
		task, clients = s.cpuTime()-task, ownTime(s.t)-clients
		elapsed, begin = time.Since(begin), time.Now()
	})
	if err != nil {
		s.t.Fatalf("%s, %d connections: %v", s.mode(), len(loaders), err)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	m.rate = append(m.rate, loaded.Rate)
	m.task = append(m.task, task.Seconds()/elapsed.Seconds()*1024/float64(s.cpu))
	m.clients = append(m.clients, clients.Seconds()/elapsed.Seconds())
	m.p50, m.p99 = append(m.p50, ms(loaded.P50)), append(m.p99, ms(loaded.P99))
	return loaded.Rate
}

func (m *series) median(per float64) capacity.Rate {
	return capacity.Rate{
		PerSecond: bench.Median(m.rate) / per, Task: bench.Median(m.task), Clients: bench.Median(m.clients),
	}
}

func (m *series) latency() capacity.Latency {
	return capacity.Latency{P50: bench.Median(m.p50), P99: bench.Median(m.p99)}
}

func (m *measurements) load(s *sizedTask, connections int, direct capacity.Latency) capacity.Load {
	load := capacity.Load{
		CPU: s.cpu, Auth: s.auth, Connections: connections,
		Requests: m.requests.median(1), Took: m.requests.latency(), HTTPS: m.https.median(1),
		Half: m.half.latency(), Direct: direct,
	}
	if s.auth == squid.AuthDigest {
		mb := m.bulk.median(1e6)
		load.MB = &mb
	}
	return load
}

// hold opens tunnels until the task takes no more, and has each pass a byte.
func (s *sizedTask) hold() capacity.Size {
	s.t.Helper()
	var files syscall.Rlimit
	must.OK(s.t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	// A tunnel has two ends here, and two in Squid.
	enough := min(int(files.Max)/2-500, squid.Config{Memory: s.memory}.Descriptors())
	who := s.client()
	who.Timeout = 3 * time.Second // a task without descriptors says nothing
	loaders := rig.Loaders(enough, who)
	open := make([]bool, enough)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(enough) && loaders[i].Tunnel() == nil; i = next.Add(1) - 1 {
				open[i] = true
			}
		})
	}
	all.Wait()
	held := 0
	for i, l := range loaders {
		if !open[i] {
			continue
		}
		held++
		l.Conn.SetDeadline(time.Now().Add(10 * time.Second))
		if err := l.CloseTunnel(); err != nil {
			s.t.Fatalf("tunnel %d: %v", held, err)
		}
	}
	return capacity.Size{CPU: s.cpu, Memory: s.memory, Tunnels: held, AtLeast: held == enough}
}

// cpuFile is where the container's control group, of either version, has its processor's time.
func (p *proxy) cpuFile() (file string, unit time.Duration) {
	p.t.Helper()
	groups := readFile(p.t, fmt.Sprintf("/proc/%d/cgroup", p.mainPid()))
	if group := regexp.MustCompile(`(?m)^\d+:(?:cpu,)?cpuacct:(.*)$`).FindStringSubmatch(groups); group != nil {
		return filepath.Join("/sys/fs/cgroup/cpuacct", group[1], "cpuacct.usage"), time.Nanosecond
	}
	group := regexp.MustCompile(`(?m)^0::(.*)$`).FindStringSubmatch(groups)
	if group == nil {
		p.t.Fatalf("no control group for the processor's time: %s", groups)
	}
	return filepath.Join("/sys/fs/cgroup", group[1], "cpu.stat"), time.Microsecond
}

// cpuTime is the task's.
func (s *sizedTask) cpuTime() time.Duration {
	s.t.Helper()
	return time.Duration(number(s.t, s.file, `(\d+)`)) * s.unit
}

// ownTime is the processor's time of clients and origins.
func ownTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	must.OK(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// squidVersion is what the image's Squid says of itself.
func (p *proxy) squidVersion() string {
	p.t.Helper()
	out, err := containers.Run(context.Background(), "exec", p.id, "/usr/sbin/squid", "-v")
	must.OK(p.t, err)
	return regexp.MustCompile(`Version (\S+)`).FindStringSubmatch(out)[1]
}

// processor is the name of the machine's.
func processor(t testing.TB) string {
	t.Helper()
	name := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindStringSubmatch(readFile(t, "/proc/cpuinfo"))
	if name == nil { // of ARM there is none
		return runtime.GOARCH
	}
	return name[1]
}
