package stacks

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/internal/logquery"
)

// widget is a part of the dashboard: lines of figures, a metric of all services, or a saved query.
type widget struct {
	title         string
	figures       []figure
	search, query string
}

// Three widgets stand side by side.
const widgetWidth, widgetHeight = 8, 6

func (f figures) widgets() []widget {
	ofBalancer := func(targets bool, names ...[2]string) (all []figure) {
		for _, n := range names {
			all = append(all, f.ofBalancer(n[0], n[1], fiveMinutes, targets))
		}
		return all
	}
	all := []widget{
		{title: "Connections", figures: ofBalancer(false,
			[2]string{"ActiveFlowCount", "Average"}, [2]string{"NewFlowCount", "Sum"})},
		{title: "Bytes", figures: ofBalancer(false, [2]string{"ProcessedBytes", "Sum"})},
		{title: "Addresses", figures: ofBalancer(true,
			[2]string{"HealthyHostCount", "Minimum"}, [2]string{"UnHealthyHostCount", "Maximum"})},
		{title: "CPU, percent of each task", search: "CPUUtilization"},
		{title: "Memory, percent of each task", search: "MemoryUtilization"},
		{title: "Requests by status", query: "RequestsByStatus"},
	}
	if f.p.Metrics {
		answer := func(stat string) figure { return f.ofTasks("AnswerTime", stat, fiveMinutes) }
		all = append(all, widget{title: "Milliseconds to answer", figures: []figure{
			answer("p50"), answer("p90"), answer("p99")}})
	}
	if f.failures != nil {
		all = append(all, widget{title: "Rotations that failed", figures: []figure{f.failedRotations()}})
	}
	return append(all, widget{title: "Top users", query: "TopUsers"},
		widget{title: "Top destinations", query: "TopDestinations"},
		widget{title: "Failures by destination", query: "FailuresByDestination"})
}

// newDashboard shows the widgets. A query costs what it scans each time somebody looks.
func newDashboard(stack awscdk.Stack, f figures, cluster awsecs.CfnCluster, log awslogs.CfnLogGroup) {
	if !f.p.Dashboard {
		return
	}
	var widgets []any
	for i, w := range f.widgets() {
		properties := map[string]any{"title": w.title, "region": stack.Region()}
		kind := "metric"
		var metrics []any
		for _, one := range w.figures {
			line := []any{one.namespace, one.name}
			for _, d := range one.dimensions {
				line = append(line, d[0], d[1])
			}
			metrics = append(metrics, append(line, map[string]any{"stat": one.stat, "period": one.period,
				"label": one.name + " " + one.stat}))
		}
		switch {
		case w.query != "":
			kind = "log"
			i := slices.IndexFunc(logquery.Queries, func(q logquery.Query) bool { return q.ID == w.query })
			q := logquery.Queries[i]
			properties["query"] = fmt.Sprintf("SOURCE '%s' | %s", *log.Ref(), q.Text)
			properties["view"] = "table"
		case w.search != "":
			metrics = append(metrics, []any{map[string]any{"expression": fmt.Sprintf("SEARCH('{AWS/ECS,ClusterName,"+
				"ServiceName} ClusterName=\"%s\" MetricName=\"%s\"', 'Average', 300)", *cluster.Ref(), w.search)}})
		}
		if metrics != nil {
			properties["metrics"], properties["view"] = metrics, "timeSeries"
		}
		widgets = append(widgets, map[string]any{"type": kind, "properties": properties, "x": i % 3 * widgetWidth,
			"y": i / 3 * widgetHeight, "width": widgetWidth, "height": widgetHeight})
	}
	awscloudwatch.NewCfnDashboard(stack, jsii.String("Dashboard"), &awscloudwatch.CfnDashboardProps{
		DashboardBody: stack.ToJsonString(map[string]any{"widgets": widgets}, nil),
	})
}
