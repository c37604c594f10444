package integration

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"squidfleet/internal/bench"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// BenchmarkRelay compares clients that use a task directly, with Digest, with clients that use it
// through the relay, without a password. Both come from this machine, without a load balancer. It
// writes a section of the benchmarks document.
func BenchmarkRelay(b *testing.B) {
	w := &world{names: rig.StartDNS(b), origins: rig.StartOrigins(b, []int{80}, []int{8443})}
	w.names.Set("origin.example", publicIPv4.String())
	body := strings.Repeat("x", 1024)
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, body) }))
	rig.StartBulk(b)
	o := options(map[string]any{"connectPorts": "443,8443"})
	o.Edit = func(conf string) string {
		conf = strings.Replace(conf, " require-proxy-header", "", 1)
		return strings.Replace(conf, "acl clients src", "acl clients src 127.0.0.1\nacl clients src", 1)
	}
	task := startTask(b, o)
	dir := b.TempDir()
	build := exec.Command("go", "build", "-o", dir, "squidfleet/cmd/squidfleet", "squidfleet/internal/bench/forward")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	relay, at := startHop(b, filepath.Join(dir, "squidfleet"), "relay", "--listen", "127.0.0.1:0",
		"--max-connections", "2000", "--proxy", "http://alice@"+task.Addr.String())
	_, forward := startHop(b, filepath.Join(dir, "forward"), task.Addr.String())

	ways := []struct {
		name   string
		client rig.Client
	}{
		{"direct", rig.Client{Task: task.Addr, User: "alice", Password: password}},
		{"relay", rig.Client{Task: at}},
		{"forward", rig.Client{Task: forward, User: "alice", Password: password}},
	}
	var report strings.Builder
	fmt.Fprintf(&report, "## The relay\n\n"+
		"`make bench` (BenchmarkRelay): medians of %d interleaved rounds of %s; client, relay, task and origin on\n"+
		"the same machine of %d cores, without a load balancer. Direct: the client does Digest itself. The floor is\n"+
		"a program in Go that sends each connection on to the task and does nothing else; its client does Digest,\n"+
		"too.\n\n"+
		"The task has %d %% of a core, as by default, and the other programs keep off that core, as in reality the\n"+
		"relay is not on the task's machine. Or all share the whole machine. There a hop's work takes from that of\n"+
		"the others. Crawlers have many connections, so one load runs with more of them, too.\n\n"+
		"| a second | connections | direct | through the relay | ratio | floor | its ratio |\n"+
		"|---|---|---|---|---|---|---|\n", relayRounds, roundTime, runtime.NumCPU(), taskShare)
	for _, share := range []int{taskShare, 0} {
		free, where := limit(b, task.Pid(), share), ", whole machine"
		together := func() {}
		if share > 0 {
			where, together = "", apart(b, task.Pid())
		}
		for _, load := range []struct {
			workload
			connections int
		}{
			{gets, workers},
			{tunnels, workers},
			{tunnels, 4 * workers},
			{tlsTunnels, workers},
			{bulk, workers},
		} {
			rate := make([][]float64, len(ways))
			for round := range relayRounds + 1 {
				for way := range ways {
					loaders := rig.Loaders(load.connections, ways[way].client)
					loaded, err := rig.Load(loaders, load.job, roundTime, func() {})
					if err != nil {
						b.Fatalf("%s, %s: %v", load.name, ways[way].name, err)
					}
					if round > 0 { // to warm up
						rate[way] = append(rate[way], loaded.Rate/load.per)
					}
				}
			}
			direct, through, floor := bench.Median(rate[0]), bench.Median(rate[1]), bench.Median(rate[2])
			name := load.name + where
			fmt.Fprintf(&report, "| %s (%s) | %d | %.0f | %.0f | **%.2f** | %.0f | %.2f |\n",
				name, load.unit, load.connections, direct, through, through/direct, floor, floor/direct)
			b.ReportMetric(through/direct, strings.NewReplacer(" ", "-", ",", "").
				Replace(fmt.Sprintf("%s of %d", name, load.connections)))
		}
		together()
		free()
	}
	report.WriteString("\n| one after the other, median, ms | direct | through the relay | added |\n" +
		"|---|---|---|---|\n")
	for _, c := range []struct {
		name string
		once func(l *rig.Loader) error
	}{
		{"GET on a connection that is open", (*rig.Loader).Get},
		{"CONNECT with its connection", (*rig.Loader).Byte},
	} {
		var took [2][]time.Duration
		for range 5 {
			for way := range took {
				l := rig.Loader{Client: ways[way].client}
				must.OK(b, l.Dial())
				for i := range 500 {
					begin := time.Now()
					must.OK(b, c.once(&l))
					if i >= 20 { // to warm up
						took[way] = append(took[way], time.Since(begin))
					}
				}
				l.Conn.Close()
			}
		}
		direct, through := bench.Median(took[0]), bench.Median(took[1])
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		fmt.Fprintf(&report, "| %s | %.3f | %.3f | **%.3f** |\n", c.name, ms(direct), ms(through), ms(through-direct))
	}
	const tunnels = 1000
	idle := pss(b, relay)
	for range tunnels {
		l := rig.Loader{Client: ways[1].client}
		must.OK(b, l.Tunnel())
		defer l.Conn.Close()
	}
	full := pss(b, relay)
	fmt.Fprintf(&report,
		"\nMemory (PSS): %.1f MB after these loads, %.1f MB with %d idle tunnels more, %.0f kB each.\n",
		idle, full, tunnels, (full-idle)*1000/tunnels)
	b.Logf("\n%s", report.String())
	must.OK(b, bench.Report("..", "relay", report.String()))
}

// taskShare is how much of a core a task has by default, in percent: cpu is 256.
const taskShare = 25

// relayRounds are enough for medians that differ by a few percent from one run to the next.
const relayRounds = 9

// apart keeps a process and those that it started on the first core, and this program and what else
// it started on the others, until together is called.
func apart(b *testing.B, pid int) (together func()) {
	b.Helper()
	cores := runtime.NumCPU()
	if cores < 2 {
		b.Fatal("needs two cores")
	}
	place := func(pids []int, from, to int) {
		var set unix.CPUSet
		for core := from; core < to; core++ {
			set.Set(core)
		}
		for _, pid := range pids {
			threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
			must.OK(b, err)
			for _, thread := range threads {
				tid, err := strconv.Atoi(filepath.Base(thread))
				must.OK(b, err)
				if err := unix.SchedSetaffinity(tid, &set); err != unix.ESRCH {
					must.OK(b, err)
				}
			}
		}
	}
	place(family(os.Getpid()), 1, cores)
	place(family(pid), 0, 1)
	return func() { place(family(os.Getpid()), 0, cores) }
}

// family are a process and those that it started, directly or not.
func family(pid int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, rig.Children(pids[i], "*")...)
	}
	return pids
}

// limit gives a process and those that it started a share of one core in percent, or with 0 all
// that there is, until free is called.
func limit(b *testing.B, pid, share int) (free func()) {
	b.Helper()
	if share == 0 {
		return func() {}
	}
	root, quota := "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us" // the first version's, with periods of 100 ms
	text := fmt.Sprint(share * 1000)
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		root, quota = "/sys/fs/cgroup", "cpu.max"
		text += " 100000"
	}
	group := filepath.Join(root, fmt.Sprint("squidfleet-bench-", os.Getpid()))
	must.OK(b, os.Mkdir(group, 0o755))
	must.OK(b, os.WriteFile(filepath.Join(group, quota), []byte(text), 0o644))
	move := func(group, pid string) {
		must.OK(b, os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(pid), 0o644))
	}
	for _, pid := range family(pid) {
		move(group, strconv.Itoa(pid))
	}
	return func() {
		text, err := os.ReadFile(filepath.Join(group, "cgroup.procs")) // Squid starts helpers meanwhile
		must.OK(b, err)
		for pid := range strings.FieldsSeq(string(text)) {
			move(root, pid)
		}
		must.OK(b, os.Remove(group))
	}
}

// startHop starts a program in front of a task, and returns its process and where it listens.
func startHop(b *testing.B, program string, arguments ...string) (pid int, at netip.AddrPort) {
	b.Helper()
	command := exec.Command(program, arguments...)
	command.Env = append(os.Environ(), "SQUIDFLEET_PASSWORD="+password)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := command.StderrPipe()
	must.OK(b, err)
	must.OK(b, command.Start())
	b.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	reader := bufio.NewReader(said)
	line, err := reader.ReadString('\n')
	must.OK(b, err)
	_, rest, _ := strings.Cut(line, " listens on ")
	listen, _, _ := strings.Cut(rest, ",")
	at, err = netip.ParseAddrPort(listen)
	must.OK(b, err)
	go io.Copy(os.Stderr, reader)
	return command.Process.Pid, at
}

// pss is a process's memory in MB, what it shares counted in part.
func pss(b *testing.B, pid int) float64 {
	return float64(memoryOf(b, pid, "smaps_rollup", "Pss")) / 1000
}
