package integration

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
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
	roundTime = time.Second
	workers   = 16
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

// contender is a configuration that is measured.
type contender struct {
	name string
	edit func(conf string) string
	mode mode
}

// The others are compared with these.
var (
	usual  = contender{"usual", usualConfiguration, newMode("digest", "squid")}
	native = contender{name: "digest=squid", mode: newMode("digest", "squid")}
	open   = contender{name: "auth=none", mode: newMode("none", "fleet")}
)

type workload struct {
	name, unit string
	per        float64 // how many of what the job counts are one
	job        rig.Job
}

var (
	gets       = workload{"keep-alive GET of 1 KiB", "requests", 1, rig.KeepAliveGets}
	tunnels    = workload{"CONNECT each", "tunnels", 1, rig.NewTunnels}
	tlsTunnels = workload{"CONNECT, TLS and GET of 1 KiB each", "tunnels", 1, rig.TLSTunnels}
	bulk       = workload{"bulk in a tunnel", "MB", 1e6, rig.Bulk}
)

// setting is a table of the report: so many tasks, with a share of a core in percent or none.
type setting struct {
	name         string
	tasks, share int
	turn         time.Duration
	loads        []workload
}

// A share of a core comes in periods of 100 ms, so that a turn has to hold several.
var settings = []setting{
	{"one task", 1, 0, 100 * time.Millisecond, []workload{gets, tunnels, tlsTunnels, bulk}},
	{fmt.Sprintf("one task, %d %% of a core", taskShare), 1, taskShare, 500 * time.Millisecond,
		[]workload{gets, tunnels, tlsTunnels}},
	{"three tasks", 3, 0, 100 * time.Millisecond, []workload{gets, tunnels}},
}

// BenchmarkThroughput compares our configuration with the usual one: the same Squid, clients and
// origins. It writes a section of the benchmarks document.
func BenchmarkThroughput(b *testing.B) {
	destinationsAsHere := func(conf string) string {
		return usualConfiguration(conf) + "server_persistent_connections off\n"
	}
	text := "## Throughput\n\n" + compare(b, "BenchmarkThroughput", 3, 5, []contender{usual, native, open}, []contender{
		usual,
		{"usual, destinations as here", destinationsAsHere, newMode("digest", "squid")},
		native,
		{name: "digest=fleet", mode: newMode("digest", "fleet")},
		{"digest=fleet, unchecked", unchecked, newMode("digest", "fleet")},
		open,
	}, "Usual: the same Squid, configured as the usual recipe does; once with a connection to the destination for\n"+
		"each plain request, as here. Its entrypoint, which copies its log, has no part in a share of a core.\n"+
		"Unchecked: the least that Squid's way of asking a helper costs, with one that takes all credentials for\n"+
		"right.\n")
	if err := bench.Report("..", "throughput", text); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBasic measures what Basic costs beside no authentication. It writes a section of the
// benchmarks document.
func BenchmarkBasic(b *testing.B) {
	text := "## What Basic costs\n\n" + compare(b, "BenchmarkBasic", 6, 6, []contender{open}, []contender{
		{name: "auth=basic", mode: newMode("basic", "fleet")},
		{name: "auth=any", mode: newMode("any", "fleet")},
		{name: "auth=none, again", mode: newMode("none", "fleet")},
		open,
	}, "Clients send Basic in all modes; with auth=none, Squid reads and drops the same header. The second auth=none\n"+
		"shows how far two equal contenders differ.\n")
	if err := bench.Report("..", "basic", text); err != nil {
		b.Fatal(err)
	}
}

// compare has contenders work in turns, in all settings, and returns tables with their ratios to
// bases. Processes differ, so all are started several times; within a start the machine's moods
// pass, so a ratio is that of two turns of one round, and the median of all rounds counts.
func compare(b *testing.B, name string, starts, rounds int, bases, contenders []contender, legend string) string {
	w := &world{names: rig.StartDNS(b), origins: rig.StartOrigins(b, []int{80}, []int{8443})}
	w.names.Set("origin.example", publicIPv4.String())
	body := strings.Repeat("x", 1024)
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, body) }))
	rig.StartBulk(b)

	var report strings.Builder
	fmt.Fprintf(&report, "`make bench` (%s): all are started %d times, and take turns in %d rounds each time, in\n"+
		"random order. A turn takes %s, with a share of a core %s. Figures are medians of all rounds; ratios are\n"+
		"those within a round. %d connections at a time, clients and origins on the same machine of %d cores. CPU is\n"+
		"that of Squid and its helpers. With three tasks, each new connection of a client goes to the next one.\n%s",
		name, starts, rounds, settings[0].turn, settings[1].turn, workers, runtime.NumCPU(), legend)
	for _, s := range settings {
		measured := map[string]*series{}
		for range starts {
			port := 35201
			tasks := map[string][]*squidTask{}
			for _, c := range contenders {
				for range s.tasks {
					o := onPort(options(c.mode.with(map[string]any{"connectPorts": "443,8443"})), port)
					o.Edit = c.edit
					tasks[c.name] = append(tasks[c.name], startTask(b, o))
					port += 10
				}
			}
			for _, load := range s.loads {
				for round := range rounds + 1 { // the first one warms up
					for _, i := range rand.Perm(len(contenders)) {
						c := contenders[i]
						rate, cpu := s.turnOf(b, tasks[c.name], load, strings.HasPrefix(c.name, usual.name))
						if round > 0 {
							measured[load.name+c.name] = measured[load.name+c.name].add(rate, cpu)
						}
					}
				}
			}
			for _, c := range contenders {
				for _, task := range tasks[c.name] {
					task.Stop(b)
				}
			}
		}
		names := columns(bases, " to %s |", func(base contender) any { return base.name })
		fmt.Fprintf(&report, "\n| %s | | a second |%s CPU µs each |%[2]s\n|---|---|---|---|%[3]s\n",
			s.name, names, strings.Repeat("---|", 2*len(bases)))
		for _, load := range s.loads {
			for _, c := range contenders {
				m := measured[load.name+c.name]
				ratios := func(of func(*series) []float64) string {
					return columns(bases, " **%.2f** |", func(base contender) any {
						return bench.MedianRatio(of(m), of(measured[load.name+base.name]))
					})
				}
				fmt.Fprintf(&report, "| %s (%s) | %s | %.0f |%s %.1f |%s\n", load.name, load.unit, c.name,
					bench.Median(m.rate), ratios(func(m *series) []float64 { return m.rate }),
					bench.Median(m.cpu), ratios(func(m *series) []float64 { return m.cpu }))
			}
		}
	}
	b.Logf("\n%s", report.String())
	return report.String()
}

// series are a contender's figures of all rounds, a second and µs of CPU for each.
type series struct{ rate, cpu []float64 }

func (s *series) add(rate, cpu float64) *series {
	if s == nil {
		s = new(series)
	}
	s.rate, s.cpu = append(s.rate, rate), append(s.cpu, cpu)
	return s
}

func columns(bases []contender, format string, value func(base contender) any) string {
	var b strings.Builder
	for _, base := range bases {
		fmt.Fprintf(&b, format, value(base))
	}
	return b.String()
}

// turnOf has clients work with tasks for a turn. Of the usual recipe, which has no entrypoint, only
// Squid is held to a share.
func (s setting) turnOf(b *testing.B, tasks []*squidTask, load workload, squidOnly bool) (rate, cpu float64) {
	b.Helper()
	if s.share > 0 {
		pid := tasks[0].Pid()
		if squidOnly {
			pid = squidOf(b, tasks[0])
		}
		defer limit(b, pid, s.share)()
	}
	var addresses []netip.AddrPort
	for _, task := range tasks {
		addresses = append(addresses, task.Addr)
	}
	var used time.Duration
	loaded, err := rig.Load(rig.Loaders(workers, client(tasks[0]), addresses...), load.job, s.turn, func() {
		used = cpuTime(b, tasks) - used
	})
	if err != nil {
		b.Fatalf("%s: %v\n%s", load.name, err, tasks[0].Errors())
	}
	return loaded.Rate / load.per, used.Seconds() * 1e6 / (loaded.Amount / load.per)
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
