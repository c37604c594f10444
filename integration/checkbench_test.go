package integration

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"squidfleet/internal/bench"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/params"
	"squidfleet/proxyimage/container"
)

// BenchmarkChecks measures what the load balancer's checks cost a task, and how the checks of a
// task fare that has all the work it can do. It writes a section of the document about rotations.
func BenchmarkChecks(b *testing.B) {
	rig.StartDNS(b).Set("origin.example", publicIPv4.String())
	rig.StartBulk(b)
	task := startTask(b, options(nil))
	tasks := []*squidTask{task}

	const many = 5000
	before := cpuTime(b, tasks)
	for range many {
		must.OK(b, check(task))
	}
	each := (cpuTime(b, tasks) - before) / many

	const clients, loadTime = 256, 30 * time.Second
	defer limit(b, task.Pid(), taskShare)()
	var over atomic.Bool
	var all sync.WaitGroup
	balancer, own := new(checks), new(checks)
	all.Go(func() { balancer.repeat(b, &over, 10*time.Millisecond, func() error { return check(task) }) })
	all.Go(func() {
		own.repeat(b, &over, 100*time.Millisecond, func() error { _, err := task.Health(); return err })
	})
	loaded, err := rig.Load(rig.Loaders(clients, client(task)), rig.NewTunnels, loadTime, func() {})
	over.Store(true)
	all.Wait()
	must.OK(b, err)
	var report strings.Builder
	fmt.Fprintf(&report, ""+
		"`make bench` (BenchmarkChecks): a task with %d %% of a core, as by default, and %d clients that\n"+
		"open tunnels as fast as they can, on one machine of %d processors: %.0f tunnels in %v.\n\n"+
		"| | checks | failed | median, ms | slowest, ms | limit, ms |\n|---|---|---|---|---|---|\n",
		taskShare, clients, runtime.NumCPU(), loaded.Amount, loadTime)
	balancer.row(&report, "the load balancer's: a connection", params.CheckTimeout)
	own.row(&report, "the container's own, its program outside of the share", container.HealthTimeout)
	fmt.Fprintf(&report, "\nOne of the load balancer's costs an idle task %d µs of processor time.\n",
		each.Microseconds())
	b.Logf("\n%s", &report)
	must.OK(b, bench.ReportIn("..", "rotation.md", "checks", report.String()))
}

// checks are those of one kind.
type checks struct {
	took   []time.Duration
	failed int
}

func (c *checks) repeat(b *testing.B, over *atomic.Bool, pause time.Duration, check func() error) {
	for !over.Load() {
		begun := time.Now()
		err := check()
		c.took = append(c.took, time.Since(begun))
		if err != nil {
			c.failed++
			b.Log(err)
		}
		time.Sleep(pause)
	}
}

// row writes a line of the report.
func (c *checks) row(report io.Writer, what string, limit time.Duration) {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	fmt.Fprintf(report, "| %s | %d | **%d** | %.1f | %.1f | %d |\n", what, len(c.took), c.failed,
		ms(bench.Median(c.took)), ms(slices.Max(c.took)), limit.Milliseconds())
}

// check is the load balancer's health check.
func check(task *squidTask) error {
	c := rig.Client{Task: task.Addr, From: loadBalancer, Header: rig.LocalHeader(), Timeout: params.CheckTimeout}
	conn, err := c.Dial()
	if err == nil {
		conn.Close()
	}
	return err
}
