package main

import (
	"strings"
	"testing"
)

func TestLocalHasAsManyAddressesAsAreAskedFor(t *testing.T) {
	t.Chdir("../..") // where cdk.json is
	for _, c := range []struct {
		flags   localFlags
		want    int
		warning bool
	}{
		{localFlags{}, defaultTasks, false}, // whatever cdk.json has
		{localFlags{context: []string{"fleetSize=5"}}, 5, false},
		{localFlags{context: []string{"fleetSize=5"}, tasks: 4, tasksGiven: true}, 4, false},
		{localFlags{context: []string{"digest=squid"}}, 1, true},
		{localFlags{context: []string{"digest=squid", "fleetSize=2"}}, 2, true},
		{localFlags{context: []string{"digest=squid"}, tasks: 3, tasksGiven: true}, 3, true},
	} {
		c.flags.zones, c.flags.speed = 1, 30
		plan, err := c.flags.plan()
		if err != nil {
			t.Fatal(err)
		}
		if plan.options.Addresses != c.want {
			t.Errorf("%+v: %d addresses, want %d", c.flags, plan.options.Addresses, c.want)
		}
		if got := strings.Join(plan.warnings, "\n"); strings.HasPrefix(got, "digest: with squid,") != c.warning ||
			!c.warning && got != "" {
			t.Errorf("%+v: warnings %q", c.flags, got)
		}
	}
}
