package rotation

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"squidfleet/internal/bench"
	"squidfleet/internal/local"
	"squidfleet/internal/must"
	"squidfleet/internal/nlb"
)

// BenchmarkRotation rotates fleets as the tests do, and writes what they lose into the document
// about rotations.
func BenchmarkRotation(b *testing.B) {
	var names []string
	var outcomes []outcome
	run := func(name string, run func(testing.TB) outcome) {
		b.Run(name, func(b *testing.B) { names, outcomes = append(names, name), append(outcomes, run(b)) })
	}
	run("in order", rotations)
	run("SIGTERM early", hastyRotations)
	run("the same, Squid told by ECS directly", func(b testing.TB) outcome { return rotateHastily(b, usual(b)) })
	if b.Failed() {
		return
	}
	clients := 0
	for _, h := range habits {
		clients += h.common + h.own*addresses
	}
	text := fmt.Sprintf(""+
		"`make bench` (BenchmarkRotation): %d addresses in %d zones, %d clients, times divided by %d, on one\n"+
		"machine of %d processors. The tests fail if one of this fleet's numbers in bold is not 0.\n\n%s",
		addresses, zones, clients, speed, runtime.NumCPU(), table(names, outcomes...))
	must.OK(b, bench.ReportIn("../..", "rotation.md", "rotations", text))
}

// benchRounds are enough: the intervals make up almost all of the time.
const benchRounds = 3

// BenchmarkIntoService measures how long tasks take from their start into service, at the load
// balancer's true intervals. It writes a section of the document about rotations.
func BenchmarkIntoService(b *testing.B) {
	earlier := nlb.HealthCheck{
		Interval: 10 * time.Second, Timeout: 5 * time.Second, HealthyThreshold: 2, UnhealthyThreshold: 2,
	}
	checks := []nlb.HealthCheck{earlier, local.AWS(parameters).HealthCheck}
	var listens []time.Duration
	serves := make([][]time.Duration, len(checks))
	for range benchRounds {
		for i, check := range checks {
			listened, served := intoService(b, check)
			listens, serves[i] = append(listens, listened...), append(serves[i], served...)
		}
	}
	var report strings.Builder
	fmt.Fprintf(&report, ""+
		"`make bench` (BenchmarkIntoService): medians of %d tasks each, in turns, %d at a time, on one\n"+
		"machine of %d processors. The intervals are AWS's. Squid listens %.2f s after the start of the\n"+
		"task's programs.\n\n",
		benchRounds*addresses, addresses, runtime.NumCPU(), bench.Median(listens).Seconds())
	report.WriteString("| the load balancer checks | a task is in service after |\n|---|---|\n")
	for i, check := range checks {
		fmt.Fprintf(&report, "| every %v | **%.1f s** |\n", check.Interval, bench.Median(serves[i]).Seconds())
	}
	b.Logf("\n%s", &report)
	must.OK(b, bench.ReportIn("../..", "rotation.md", "into-service", report.String()))
}

// intoService starts a fleet, and returns how long each task took until it listened, and until it
// was in service.
func intoService(b *testing.B, check nlb.HealthCheck) (listened, served []time.Duration) {
	b.Helper()
	var mu sync.Mutex
	var waiting sync.WaitGroup
	f, _, _ := fleet(b, func(o *local.Options) {
		o.Timing = local.AWS(parameters)
		o.Timing.HealthCheck = check
		o.Report = func(e local.Event) {
			switch e.Kind {
			case local.Started:
				waiting.Go(func() {
					took := untilItListens(netip.AddrPortFrom(e.Task.Address, uint16(parameters.ListenerPort)))
					mu.Lock()
					defer mu.Unlock()
					listened = append(listened, took)
				})
			case local.Serving:
				mu.Lock()
				defer mu.Unlock()
				served = append(served, e.Time.Sub(e.Task.Started))
			}
		}
	})
	waiting.Wait()
	must.OK(b, f.Close())
	return listened, served
}

// untilItListens waits for a minute at most.
func untilItListens(at netip.AddrPort) time.Duration {
	begun := time.Now()
	for time.Since(begun) < time.Minute {
		if conn, err := net.Dial("tcp", at.String()); err == nil {
			conn.Close()
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begun)
}
