package stacks_test

import (
	"maps"
	"slices"
	"testing"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/cost"
	"squidfleet/internal/must"
)

// Metrics and alarms are paid one by one, whatever fleetSize is.
func TestTheCostsCountMetricsAndAlarms(t *testing.T) {
	prices, err := cost.InTable("us-east-1")
	must.OK(t, err)
	email := only("alarmEmail", "ops@example.com")
	fleets := []cdkcontext.Case{
		{Changes: email}, {Changes: with(with(email, "fleetSize", "7"), "rotateEvery", "off")},
		{Changes: with(email, "auth", "none")},
	}
	for _, c := range append(slices.Collect(maps.Values(cdkcontext.Cases)), fleets...) {
		fleet := synthCase(t, c)
		got, want := map[string]float64{}, map[string]float64{}
		for _, item := range prices.OfFleet(fleet.params, cost.Traffic{}).Items {
			if item.Name == "metrics" || item.Name == "alarms" {
				want[item.Name] = item.Quantity
			}
		}
		if fleet.params.Metrics {
			got["metrics"] = 5
		}
		alarms := 0
		for _, r := range fleet.templates["Proxy"].Resources {
			switch r.Type {
			case "AWS::Logs::MetricFilter":
				got["metrics"]++
			case "AWS::CloudWatch::Alarm":
				alarms++
				for _, one := range r.Properties["Metrics"].([]any) {
					if one.(map[string]any)["MetricStat"] != nil {
						got["alarms"]++
					}
				}
			}
		}
		if !maps.Equal(got, want) || alarms > 8 {
			t.Errorf("%v: %d alarms; there are %v, and %v are paid", c.Changes, alarms, got, want)
		}
	}
}
