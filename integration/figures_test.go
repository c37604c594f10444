package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

type taskFigures struct {
	Fleet                                                            string
	Descriptors, Connections, ConnectionsRefused, Memory, AnswerTime int
}

// figuresOf returns the lines so far. All others are of the access log.
func figuresOf(t *testing.T, task *squidTask) (all []taskFigures) {
	t.Helper()
	for _, line := range task.Log() {
		if !strings.HasPrefix(line, container.MetricsBegin) {
			if _, err := parse(line); err != nil {
				t.Errorf("%v: %s", err, line)
			}
			continue
		}
		var one taskFigures
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, one)
	}
	return all
}

// awaitFigures waits for figures that come from now on.
func awaitFigures(t *testing.T, task *squidTask, what string, right func(taskFigures) bool) (found taskFigures) {
	t.Helper()
	before := len(figuresOf(t, task))
	must.Await(t, what, func() bool {
		all := figuresOf(t, task)[before:]
		i := slices.IndexFunc(all, right)
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

// Each figure of a task follows what it measures, and is what the kernel says of the same
// processes.
func TestATasksFiguresFollowWhatTheyMeasure(t *testing.T) {
	newWorld(t)
	o := options(nil)
	o.Environment = []string{container.EnvMetrics + "=Fleet-1", container.EnvMetricsEvery + "=100ms"}
	// Squid lets a quarter as many connections wait for it.
	o = o.and(replacing(t, "max_filedescriptors 5120", "max_filedescriptors 400"))
	// What was refused before the task is none of its figures.
	dead := fmt.Sprintf("127.0.0.1:%d", deadPort(t, rig.LastPort))
	if _, err := net.DialTimeout("tcp", dead, 200*time.Millisecond); err == nil {
		t.Error("a full queue takes a connection")
	}
	task := startTask(t, o)
	squid := squidOf(t, task)
	longest := int(container.HealthTimeout.Milliseconds())
	idle := awaitFigures(t, task, "an idle task", func(f taskFigures) bool { return f.Connections == 0 })
	if idle.Fleet != "Fleet-1" || idle.ConnectionsRefused != 0 || idle.AnswerTime >= longest {
		t.Errorf("idle: %+v", idle)
	}

	const tunnels = 20
	for range tunnels {
		conn, _, err := client(task).Tunnel("origin.example:443")
		must.OK(t, err)
		t.Cleanup(func() { conn.Close() })
	}
	awaitFigures(t, task, "two descriptors for each tunnel", func(f taskFigures) bool {
		return f.Connections == tunnels && f.Descriptors >= idle.Descriptors+2*tunnels
	})

	const strangers = 3
	for range strangers {
		statusOf(client(task).At(outsider))
	}
	refused := 0
	awaitFigures(t, task, "the strangers", func(taskFigures) bool {
		refused = 0
		for _, one := range figuresOf(t, task) {
			refused += one.ConnectionsRefused
		}
		return refused >= strangers
	})
	if refused != strangers {
		t.Errorf("%d refused connections, want %d", refused, strangers)
	}

	for range 100 {
		dial(t, client(task), "GET http://origin.example/ HTTP/1.1\r\nCookie: "+strings.Repeat("x", 16<<10))
	}
	helper := helperOf(t, squid)
	awaitFigures(t, task, "long headers in memory", func(f taskFigures) bool {
		of := func(pid int) int { return 1024 * memoryOf(t, pid, "status", "VmRSS") }
		besides := f.Memory - of(task.Pid()) - of(squid) - of(helper)
		return f.Memory > idle.Memory+1<<20 && max(besides, -besides) < of(helper)/2
	})

	resume := hang(t, task)
	awaitFigures(t, task, "a hung helper", func(f taskFigures) bool { return f.AnswerTime == longest })
	resume()
	awaitFigures(t, task, "a helper that goes on", func(f taskFigures) bool { return f.AnswerTime < longest })

	must.OK(t, syscall.Kill(squid, syscall.SIGSTOP))
	t.Cleanup(func() { syscall.Kill(squid, syscall.SIGCONT) })
	var waiting sync.WaitGroup
	for range 200 {
		waiting.Go(func() {
			if conn, err := net.DialTimeout("tcp", task.Addr.String(), 500*time.Millisecond); err == nil {
				t.Cleanup(func() { conn.Close() })
			}
		})
	}
	awaitFigures(t, task, "more connections than wait", func(f taskFigures) bool { return f.ConnectionsRefused > 0 })
	waiting.Wait()
	must.OK(t, syscall.Kill(squid, syscall.SIGCONT))
}
