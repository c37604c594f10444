package integration

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/bench"
	"squidfleet/internal/rig"
)

const (
	rounds    = 5
	roundTime = time.Second
	workers   = 16
)

// Of BenchmarkThroughput. A share of a core comes in periods of 100 ms, so rounds hold several.
const (
	wholeRounds, wholeTime     = 12, 200 * time.Millisecond
	quarterRounds, quarterTime = 5, 500 * time.Millisecond
	closeTurns                 = 3
)

// usualConfiguration is that of the usual recipe: default limits, Digest with Squid's default
// counters, users with a password allowed first, a plain log line.
func usualConfiguration(conf string) string {
	var kept []string
	for line := range strings.Lines(conf) {
		for _, prefix := range []string{
			"http_port 35", "acl load_balancer", "proxy_protocol_access allow load_balancer", "acl clients",
			"auth_param digest program", "auth_param digest realm", "error_directory", "pid_filename",
			"shutdown_lifetime",
		} {
			if strings.HasPrefix(line, prefix) {
				kept = append(kept, line)
			}
		}
	}
	return strings.Join(kept, "") + `auth_param digest children 20 startup=0 idle=1
auth_param digest nonce_garbage_interval 5 minutes
auth_param digest nonce_max_duration 30 minutes
auth_param digest nonce_max_count 50
acl digest_user proxy_auth REQUIRED
http_access allow digest_user
http_access allow clients
http_access deny all
cache deny all
visible_hostname unknown
forwarded_for off
request_header_access X-Forwarded-For deny all
request_header_access Via deny all
request_header_access Cache-Control deny all
httpd_suppress_version_string on
logformat usual %{%Y/%m/%d %H:%M:%S}tl %ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt
access_log stdio:/dev/stdout usual
coredump_dir none
`
}

// unchecked has a program take our helper's place that takes all credentials for right.
func unchecked(conf string) string {
	script, err := filepath.Abs("testdata/unchecked.pl")
	if err != nil {
		panic(err)
	}
	return regexp.MustCompile(`\./entrypoint digest .*`).ReplaceAllLiteralString(conf, "/usr/bin/perl "+script)
}

// contender is tasks under one configuration.
type contender struct {
	name  string
	edit  func(conf string) string
	mode  mode
	close bool // to others, and so compared closeTurns times in each round
	tasks []*squidTask
}

// inTurns has contenders take turns. The first round warms up, and does not count.
func inTurns(contenders []*contender, rounds int, turn func(c *contender, counts bool)) {
	for round := range rounds + 1 {
		for again := range closeTurns {
			for _, c := range contenders {
				if again == 0 || c.close {
					turn(c, round > 0)
				}
			}
		}
	}
}

// BenchmarkThroughput compares our configuration with the usual one: the same Squid, clients and
// origins, in turns, medians of the rounds, one task and three. It writes a section of the
// benchmarks document.
func BenchmarkThroughput(b *testing.B) {
	w := &world{names: rig.StartDNS(b), origins: rig.StartOrigins(b, []int{80}, []int{8443})}
	w.names.Set("origin.example", publicIPv4.String())
	body := strings.Repeat("x", 1024)
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, body) }))
	rig.StartBulk(b)

	var report strings.Builder
	fmt.Fprintf(&report, "## Throughput\n\n"+
		"`make bench` (BenchmarkThroughput): medians of %d interleaved rounds of %s, with a share of a core %d of\n"+
		"%s; in each round basic, any and none have %d turns. %d connections at a time, clients and origins on the\n"+
		"same machine of %d cores.\n"+
		"Usual: the same Squid, configured as the usual recipe does; once with a connection to the destination for\n"+
		"each plain request, as here. CPU is that of Squid and its helpers. Unchecked: the least that Squid's way of\n"+
		"asking a helper costs, with one that takes all credentials for right.\n"+
		"With three tasks, each new connection of a client goes to the next one. With auth=basic and auth=any,\n"+
		"clients send Basic; with auth=none, too, so that Squid reads and drops the same header.\n",
		wholeRounds, wholeTime, quarterRounds, quarterTime, closeTurns, workers, runtime.NumCPU())
	workloads := []workload{
		{"keep-alive GET of 1 KiB", "requests", 1, rig.KeepAliveGets},
		{"CONNECT each", "tunnels", 1, rig.NewTunnels},
		{"bulk in a tunnel", "MB", 1e6, rig.Bulk},
	}
	port := 35201
	for _, tasks := range []int{1, 3} {
		contenders := []*contender{
			{name: usual, mode: newMode("digest", "squid"), edit: usualConfiguration},
			{name: usual + ", destinations as here", mode: newMode("digest", "squid"), edit: func(conf string) string {
				return usualConfiguration(conf) + "server_persistent_connections off\n"
			}},
			{name: native, mode: newMode("digest", "squid")},
			{name: "digest=fleet", mode: newMode("digest", "fleet")},
			{name: "digest=fleet, unchecked", mode: newMode("digest", "fleet"), edit: unchecked},
			{name: "auth=basic", mode: newMode("basic", "fleet"), close: true},
			{name: "auth=any", mode: newMode("any", "fleet"), close: true},
			{name: open, mode: newMode("none", "fleet"), close: true},
		}
		for _, c := range contenders {
			for range tasks {
				o := onPort(options(c.mode.with(map[string]any{"connectPorts": "443,8443"})), port)
				o.Edit = c.edit
				c.tasks = append(c.tasks, startTask(b, o))
				port += 10
			}
		}
		fmt.Fprintf(&report, "\n| %s | | a second | to usual | to digest=squid | to auth=none "+
			"| CPU µs each | to usual | to digest=squid | to auth=none |\n"+
			"|---|---|---|---|---|---|---|---|---|---|\n", map[int]string{1: "one task", 3: "three tasks"}[tasks])
		for _, load := range workloads {
			if tasks > 1 && load.unit == "MB" {
				continue // one tunnel has one task
			}
			report.WriteString(compare(b, load, contenders, tasks))
		}
		if tasks == 1 {
			report.WriteString(quarter(b, contenders))
		}
		for _, c := range contenders {
			for _, task := range c.tasks {
				task.Stop(b)
			}
		}
	}
	b.Logf("\n%s", report.String())
	if err := bench.Report("..", "throughput", report.String()); err != nil {
		b.Fatal(err)
	}
}

// The others are compared with these contenders.
const (
	usual  = "usual"
	native = "digest=squid"
	open   = "auth=none"
)

type workload struct {
	name, unit string
	per        float64 // how many of what the job counts are one
	job        rig.Job
}

// compare runs a workload on all contenders in turns and returns lines for the report.
func compare(b *testing.B, load workload, contenders []*contender, tasks int) string {
	b.Helper()
	rate, cpu := map[string][]float64{}, map[string][]float64{}
	inTurns(contenders, wholeRounds, func(c *contender, counts bool) {
		var used time.Duration
		loaded, err := rig.Load(loaders(c.tasks), load.job, wholeTime, func() {
			used = cpuTime(b, c.tasks) - used
		})
		if err != nil {
			b.Fatalf("%s, %s: %v\n%s", load.name, c.name, err, c.tasks[0].Errors())
		}
		if counts {
			rate[c.name] = append(rate[c.name], loaded.Rate/load.per)
			cpu[c.name] = append(cpu[c.name], used.Seconds()*1e6/(loaded.Amount/load.per))
		}
	})
	var lines strings.Builder
	for _, c := range contenders {
		r, u := bench.Median(rate[c.name]), bench.Median(cpu[c.name])
		toUsual := r / bench.Median(rate[usual])
		fmt.Fprintf(&lines, "| %s (%s) | %s | %.0f | **%.2f** | **%.2f** | **%.2f** | %.1f | **%.2f** | **%.2f** | "+
			"**%.2f** |\n", load.name, load.unit, c.name, r, toUsual, r/bench.Median(rate[native]),
			r/bench.Median(rate[open]), u, u/bench.Median(cpu[usual]), u/bench.Median(cpu[native]),
			u/bench.Median(cpu[open]))
		b.ReportMetric(toUsual, strings.ReplaceAll(
			fmt.Sprintf("%s-%s-%d", strings.Fields(load.name)[0], c.name, tasks), " ", "-"))
	}
	return lines.String()
}

// loaders are the clients of tasks under one configuration.
func loaders(tasks []*squidTask) []*rig.Loader {
	var addresses []netip.AddrPort
	for _, task := range tasks {
		addresses = append(addresses, task.Addr)
	}
	return rig.Loaders(workers, client(tasks[0]), addresses...)
}

// quarter compares tasks that have the default share of a core each, and returns a table for the
// report. The usual recipe has no entrypoint: the one that copies its log here gets no part of the
// share.
func quarter(b *testing.B, contenders []*contender) string {
	b.Helper()
	var lines strings.Builder
	fmt.Fprintf(&lines, "\n| one task, %d %% of a core | | a second | to usual | to auth=none |\n"+
		"|---|---|---|---|---|\n", taskShare)
	for _, load := range []workload{
		{"keep-alive GET of 1 KiB", "requests", 1, rig.KeepAliveGets},
		{"CONNECT each", "tunnels", 1, rig.NewTunnels},
		{"CONNECT, TLS and GET of 1 KiB each", "tunnels", 1, rig.TLSTunnels},
	} {
		rate := map[string][]float64{}
		inTurns(contenders, quarterRounds, func(c *contender, counts bool) {
			pid := c.tasks[0].Pid()
			if strings.HasPrefix(c.name, usual) {
				pid = squidOf(b, c.tasks[0])
			}
			free := limit(b, pid, taskShare)
			loaded, err := rig.Load(loaders(c.tasks), load.job, quarterTime, func() {})
			if err != nil {
				b.Fatalf("%s, %s: %v\n%s", load.name, c.name, err, c.tasks[0].Errors())
			}
			if counts {
				rate[c.name] = append(rate[c.name], loaded.Rate)
			}
			free()
		})
		for _, c := range contenders {
			r := bench.Median(rate[c.name])
			fmt.Fprintf(&lines, "| %s (%s) | %s | %.0f | **%.2f** | **%.2f** |\n", load.name, load.unit, c.name, r,
				r/bench.Median(rate[usual]), r/bench.Median(rate[open]))
		}
	}
	return lines.String()
}

// onPort returns a copy of a task's options with another port.
func onPort(o taskOptions, port int) taskOptions {
	o.Context = maps.Clone(o.Context)
	o.Context["listenerPort"] = port
	return o
}

// cpuTime is the CPU time of the tasks' Squids and their helpers.
func cpuTime(b *testing.B, tasks []*squidTask) time.Duration {
	b.Helper()
	var pids []int
	for _, task := range tasks {
		pid := squidOf(b, task)
		pids = append(pids, pid)
		for _, helper := range []string{"entrypoint", "digest_file_aut", "perl"} { // the kernel cuts names
			pids = append(pids, childrenOf(pid, helper)...)
		}
	}
	var nanoseconds time.Duration
	for _, pid := range pids {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(threads) == 0 {
			b.Fatalf("threads of %d: %v, %v", pid, threads, err)
		}
		for _, thread := range threads {
			var ran time.Duration
			text, err := os.ReadFile(thread)
			if _, bad := fmt.Sscan(string(text), &ran); err != nil || bad != nil {
				b.Fatalf("%s: %q, %v, %v", thread, text, err, bad)
			}
			nanoseconds += ran
		}
	}
	return nanoseconds
}
