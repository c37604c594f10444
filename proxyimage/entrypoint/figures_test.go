package main

import (
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A line is as AWS's specification and JSON schema of the embedded metric format want it, with
// CloudWatch's names of units, and one set of dimensions: each further one would be billed as that
// many metrics. What cannot be read is said and left out, and the line stays whole.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func TestALineOfFigures(t *testing.T) {
	const metric, value = `{"Name":"Descriptors","Unit":"Count"},`, `"Descriptors":N,`
	const whole = `{"_aws":{"Timestamp":1767323045678,"CloudWatchMetrics":[{"Namespace":"Squidfleet",` +
		`"Dimensions":[["Fleet"]],"Metrics":[` + metric + `{"Name":"Connections","Unit":"Count"},` +
		`{"Name":"ConnectionsRefused","Unit":"Count"},{"Name":"Memory","Unit":"Bytes"},` +
		`{"Name":"AnswerTime","Unit":"Milliseconds"}]}]},"Fleet":"Fleet-1",` + value +
		`"Connections":N,"ConnectionsRefused":N,"Memory":N,"AnswerTime":N}` + "\n"
	number := regexp.MustCompile(`:\d+([,}])`)
	for squid, want := range map[int]string{
		os.Getpid(): whole, -1: strings.NewReplacer(metric, "", value, "").Replace(whole),
	} {
		f := &figures{fleet: "Fleet-1", dir: t.TempDir(), squid: squid, cut: new(atomic.Int64)}
		line := string(metricLine(f.fleet, time.UnixMilli(1767323045678), f.read()))
		head, values, _ := strings.Cut(line, "]}]},")
		if got := head + "]}]}," + number.ReplaceAllString(values, ":N$1"); got != want {
			t.Errorf("Squid is process %d:\n%s\nwant\n%s", squid, got, want)
		}
		// docs/operate.md says 20 MB a month, with the 26 bytes that CloudWatch Logs adds to each line.
		if month := (len(line) + 26) * 60 * 24 * 30; month > 20_500_000 {
			t.Errorf("%d bytes a month", month)
		}
	}
}
