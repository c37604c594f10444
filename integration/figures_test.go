package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/logquery"
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
func awaitFigures(t *testing.T, task *squidTask, what string, right func(taskFigures) bool) taskFigures {
	t.Helper()
	before := len(figuresOf(t, task))
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, one := range figuresOf(t, task)[before:] {
			if right(one) {
				return one
			}
		}
	}
	t.Fatalf("%s: %+v\n%s", what, figuresOf(t, task)[before:], task.Errors())
	return taskFigures{}
}

// Each figure of a task follows what it measures, and is what the kernel says of the same
// processes.
func TestATasksFiguresFollowWhatTheyMeasure(t *testing.T) {
	newWorld(t)
	o := options(nil)
	o.Environment = []string{container.EnvMetrics + "=Fleet-1", container.EnvMetricsEvery + "=100ms"}
	// Squid lets a quarter as many connections wait for it.
	o.Edit = func(conf string) string {
		return strings.Replace(conf, "\nmax_filedescriptors 5120\n", "\nmax_filedescriptors 400\n", 1)
	}
	// What was refused before the task is none of its figures.
	dead := fmt.Sprintf("127.0.0.1:%d", deadPort(t))
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

	stranger := client(task)
	stranger.Header = rig.ProxyHeader(outsider)
	const strangers = 3
	for range strangers {
		stranger.Request("GET", "http://origin.example/")
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
		of := func(pid int) int { return 1024 * memoryOf(t, pid, "VmRSS") }
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

// Each saved query and each filter finds what it is for in a log of a real Squid, and nothing else.
func TestQueriesFindWhatTheyAreFor(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/busy") {
			rw.WriteHeader(http.StatusServiceUnavailable) // the destination's own
		}
		w.answer(rw, r)
	}))
	o := options(nil)
	o.Environment = []string{container.EnvMetrics + "=Fleet-1", container.EnvMetricsEvery + "=100ms"}
	task := startTask(t, o)
	alice := client(task)
	bob, mistaken, unknown, nobody := alice, alice, alice, anonymous(task)
	bob.User, bob.Password, bob.Header = "bob", "another password", elsewhere()
	mistaken.Password, mistaken.Header = "wrong", elsewhere()
	unknown.User, unknown.Header = "carol", elsewhere()
	ask := func(times int, c rig.Client, method, target string) {
		t.Helper()
		for range times {
			_, err := c.Request(method, target)
			must.OK(t, err)
		}
	}
	ask(2, alice, "GET", "http://origin.example/a?b")
	ask(1, alice, "GET", "http://origin.example/busy")
	ask(3, bob, "CONNECT", "origin.example:443")
	ask(1, bob, "CONNECT", "10.9.8.7:443")
	ask(2, bob, "GET", "http://nowhere.example/")
	ask(1, bob, "GET", "http://garbage.example:80/")
	ask(2, mistaken, "GET", "http://origin.example/")
	ask(1, unknown, "GET", "http://origin.example/")
	ask(1, nobody, "GET", "http://origin.example/")
	task.WaitForLog(t, container.MetricsBegin)
	task.Stop(t)
	text := task.Log()
	if !slices.ContainsFunc(text, func(l string) bool { return strings.HasPrefix(l, container.MetricsBegin) }) {
		t.Fatal("no line with figures, which no query may take for a request")
	}
	// The task does not learn its address here. Bob's lines are those of another.
	for i, line := range text {
		egress := "198.51.100.1"
		if strings.Contains(line, `"user":"bob"`) {
			egress = "198.51.100.2"
		}
		text[i] = strings.Replace(line, `"egress":"-"`, `"egress":"`+egress+`"`, 1)
	}
	for name, want := range map[string][]string{
		"WhoUsedAnAddress": {"bob origin.example:443 3", "bob garbage.example 1"},
		"WhatAUserDid": {"CONNECT 200", "CONNECT 200", "CONNECT 200", "CONNECT 403", "GET 502", "GET 503",
			"GET 503"},
		"TopDestinations":  {"origin.example 3", "origin.example:443 3", "garbage.example 1"},
		"RequestsByStatus": {"200 5", "403 1", "407 17", "502 1", "503 3"},
		"TopUsers":         {"bob 4", "alice 3"},
		"FailuresByDestination": {
			"nowhere.example 503 2", "garbage.example 502 1",
		},
		"Guessers": {"wrong-password 2", "unknown-user 1"},
	} {
		i := slices.IndexFunc(logquery.Queries, func(q logquery.Query) bool { return q.ID == name })
		query := strings.NewReplacer(logquery.Address, "198.51.100.2", logquery.User, "bob").Replace(
			logquery.Queries[i].Text)
		rows, err := logquery.Run(query, logquery.Read(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, row := range rows {
			var words []string
			for member := range strings.FieldsSeq("user method host auth status requests failures guesses") {
				if row[member] != nil && (name != "WhatAUserDid" || member == "method" || member == "status") {
					words = append(words, fmt.Sprint(row[member]))
				}
			}
			got = append(got, strings.Join(words, " "))
		}
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, f := range logquery.Filters {
		lines, err := logquery.Match(f.Pattern, logquery.Read(text))
		want := map[string]int{logquery.Guesses: 3, logquery.Requests: 9, logquery.Failures: 3}[f.Metric]
		if err != nil || len(lines) != want {
			t.Errorf("%s: %d lines, %v; want %d: %v", f.Metric, len(lines), err, want, lines)
		}
	}
	if len(logquery.Queries) != 7 || len(logquery.Filters) != 3 {
		t.Error("a query or a filter is not tried")
	}
}
