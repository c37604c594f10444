package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// units are those of CloudWatch that have no rate in them.
var units = regexp.MustCompile(`^(Seconds|Microseconds|Milliseconds|Bytes|Kilobytes|Megabytes|Percent|Count|None)$`)

// embedded reads a line as AWS's specification and JSON schema of the embedded metric format want
// it, and returns the metrics' values:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func embedded(t *testing.T, line string) map[string]int64 {
	t.Helper()
	var root map[string]json.RawMessage
	must.OK(t, json.Unmarshal([]byte(line), &root))
	var meta struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	}
	// docs/operate.md says 20 MB a month, with the 26 bytes that CloudWatch Logs adds to each line.
	if month := (len(line) + 26) * 60 * 24 * 30; month > 20_500_000 {
		t.Errorf("%d bytes a month", month)
	}
	decoder := json.NewDecoder(bytes.NewReader(root["_aws"]))
	decoder.DisallowUnknownFields()
	must.OK(t, decoder.Decode(&meta))
	if age := time.Since(time.UnixMilli(meta.Timestamp)); age < 0 || age > time.Hour {
		t.Errorf("the timestamp is %v old: %s", age, line)
	}
	if len(meta.CloudWatchMetrics) != 1 || len(root) != 2+len(meta.CloudWatchMetrics[0].Metrics) {
		t.Fatalf("not one directive, or something else beside the metrics and the dimension: %s", line)
	}
	directive, values := meta.CloudWatchMetrics[0], map[string]int64{}
	if n := len(directive.Namespace); n < 1 || n > 255 || strings.HasPrefix(directive.Namespace, "AWS/") {
		t.Errorf("namespace %q", directive.Namespace)
	}
	// One set of dimensions: each further one would be billed as that many metrics.
	if fmt.Sprint(directive.Dimensions) != "[[Fleet]]" || string(root["Fleet"]) != `"Fleet-1"` {
		t.Errorf("dimensions %v, fleet %s", directive.Dimensions, root["Fleet"])
	}
	for _, m := range directive.Metrics {
		value, err := strconv.ParseInt(string(root[m.Name]), 10, 64)
		if err != nil || value < 0 || !units.MatchString(m.Unit) {
			t.Errorf("%s is %s %s", m.Name, root[m.Name], m.Unit)
		}
		values[m.Name] = value
	}
	return values
}

// What is not there is said and left out, and the line stays whole.
func TestAFigureThatCannotBeReadIsLeftOut(t *testing.T) {
	for squid, count := range map[int]int{os.Getpid(): 5, -1: 4} {
		f := &figures{fleet: "Fleet-1", dir: t.TempDir(), squid: squid, cut: new(atomic.Int64)}
		values := embedded(t, string(metricLine(f.fleet, time.Now(), f.read())))
		if _, there := values["Descriptors"]; there != (squid > 0) || len(values) != count {
			t.Errorf("Squid is process %d: %v", squid, values)
		}
	}
}
