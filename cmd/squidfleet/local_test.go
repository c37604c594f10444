package main

import (
	"strings"
	"testing"

	"squidfleet/internal/must"
)

func TestLocalHasAsManyAddressesAsAreAskedFor(t *testing.T) {
	t.Chdir("../..") // where cdk.json is
	for _, c := range []struct {
		plan    localPlan
		want    int
		warning bool
	}{
		{localPlan{}, defaultTasks, false}, // whatever cdk.json has
		{localPlan{context: []string{"fleetSize=5"}}, 5, false},
		{localPlan{context: []string{"fleetSize=5"}, tasks: 4, tasksGiven: true}, 4, false},
		{localPlan{context: []string{"digest=squid"}}, 1, true},
		{localPlan{context: []string{"digest=squid", "fleetSize=2"}}, 2, true},
		{localPlan{context: []string{"digest=squid"}, tasks: 3, tasksGiven: true}, 3, true},
	} {
		plan := c.plan
		plan.options.Zones, plan.speed = 1, 30
		must.OK(t, plan.read())
		if plan.options.Addresses != c.want {
			t.Errorf("%+v: %d addresses, want %d", c.plan, plan.options.Addresses, c.want)
		}
		if got := strings.Join(plan.warnings, "\n"); strings.HasPrefix(got, "digest: with squid,") != c.warning ||
			!c.warning && got != "" {
			t.Errorf("%+v: warnings %q", c.plan, got)
		}
	}
}
