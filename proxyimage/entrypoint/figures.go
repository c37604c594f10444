package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"squidfleet/proxyimage/container"
)

// figure is one of the task's figures. CloudWatch bills each name every month.
type figure struct {
	name, unit string
	value      int64
}

// figures reads what the task holds. Nothing in it comes from a client but numbers.
type figures struct {
	fleet   string
	dir     string
	squid   int            // Squid's process
	clients netip.AddrPort // Squid's port for clients
	cut     *atomic.Int64  // connections that Squid has reset
	before  int64          // connections that were refused until the last line
}

// report writes a line after each interval, for ever.
func (f *figures) report(destination io.Writer, every time.Duration) {
	f.refused() // counts from here on; read tells an error
	for now := range time.Tick(every) {
		destination.Write(metricLine(f.fleet, now, f.read())) // an error shows at the next line of the log
	}
}

// read returns the figures that can be read.
func (f *figures) read() (all []figure) {
	add := func(name, unit string, value int64, err error) {
		if err != nil {
			complain("%s is not reported: %v", name, err)
			return
		}
		all = append(all, figure{name, unit, value})
	}
	descriptors, err := countDescriptors(f.squid)
	add("Descriptors", "Count", int64(descriptors), err)
	connections, err := openConnections(f.clients)
	add("Connections", "Count", int64(connections), err)
	refused, err := f.refused()
	add("ConnectionsRefused", "Count", refused, err)
	memory, err := residentMemory(os.Getpid())
	add("Memory", "Bytes", memory, err)
	add("AnswerTime", "Milliseconds", answerTime(f.dir).Milliseconds(), nil)
	return all
}

// refused counts the connections refused since it was last asked: those that Squid reset by its
// rules, and the attempts that the kernel dropped because Squid did not accept in time.
func (f *figures) refused() (int64, error) {
	dropped, err := listenOverflows()
	if err != nil {
		return 0, err
	}
	all := dropped + f.cut.Load()
	since := all - f.before
	f.before = all
	return since, nil
}

// metricLine is one line of the embedded metric format, which CloudWatch Logs turns into metrics:
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
//
// The fleet is the only dimension: one of the task's would be billed anew with each rotation. No
// name needs quoting.
func metricLine(fleet string, now time.Time, all []figure) []byte {
	names, values := make([]string, len(all)), make([]string, len(all))
	for i, f := range all {
		names[i] = fmt.Sprintf(`{"Name":"%s","Unit":"%s"}`, f.name, f.unit)
		values[i] = fmt.Sprintf(`"%s":%d`, f.name, f.value)
	}
	const form = container.MetricsBegin + `{"Timestamp":%d,"CloudWatchMetrics":[{"Namespace":"%s",` +
		`"Dimensions":[["%s"]],"Metrics":[%s]}]},"%[3]s":"%[5]s",%[6]s}` + "\n"
	return fmt.Appendf(nil, form, now.UnixMilli(), container.MetricsNamespace, container.MetricsDimension,
		strings.Join(names, ","), fleet, strings.Join(values, ","))
}

// answerTime is how long the health check's requests take. They wait for all that Squid and its
// helper have to do before them. A check that fails counts as the longest.
func answerTime(dir string) time.Duration {
	begun := time.Now()
	if err := checkHealth(dir); err != nil {
		return container.HealthTimeout
	}
	return min(time.Since(begun), container.HealthTimeout)
}

func countDescriptors(pid int) (int, error) {
	directory, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, err
	}
	defer directory.Close()
	names, err := directory.Readdirnames(0)
	return len(names), err
}

// residentMemory is what this process, Squid and Squid's helpers have in memory. What they share
// counts for each.
func residentMemory(pid int) (int64, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	parents, pages := map[string]string{}, map[string]int64{}
	for _, path := range paths {
		content, _ := os.ReadFile(path) // the process may have ended
		// The program's name, in parentheses, may hold anything (proc_pid_stat(5)).
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		if len(fields) > 21 {
			process := filepath.Base(filepath.Dir(path))
			parents[process] = fields[1]
			pages[process], _ = strconv.ParseInt(fields[21], 10, 64)
		}
	}
	own := strconv.Itoa(pid)
	var total int64
	for process := range parents {
		if parent := parents[process]; process == own || parent == own || parents[parent] == own {
			total += pages[process] * int64(os.Getpagesize())
		}
	}
	return total, nil
}

// listenOverflows counts the attempts to connect that the kernel dropped because a listener's queue
// was full, since the task's network began.
func listenOverflows() (int64, error) {
	content, err := os.ReadFile("/proc/self/net/netstat")
	if err != nil {
		return 0, err
	}
	// One of values follows each line of names.
	lines := strings.Split(string(content), "\n")
	for i, line := range lines[:len(lines)-1] {
		names, values := strings.Fields(line), strings.Fields(lines[i+1])
		for j, name := range names {
			if name == "ListenOverflows" && j < len(values) {
				return strconv.ParseInt(values[j], 10, 64)
			}
		}
	}
	return 0, errors.New("/proc/self/net/netstat does not count ListenOverflows")
}
