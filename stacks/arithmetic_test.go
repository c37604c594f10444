package stacks

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"squidfleet/params"
)

func TestEgressPortsAreJoinedAndFitIntoASecurityGroup(t *testing.T) {
	scattered := func(n int) (ports []int) {
		for i := range n {
			ports = append(ports, 1000+2*i)
		}
		return ports
	}
	for _, c := range []struct {
		name  string
		ports []int
		want  []portRange
	}{
		{"one", []int{443}, []portRange{{443, 443}}},
		{"neighbours, doubles, any order", []int{82, 443, 80, 443, 81}, []portRange{{80, 82}, {443, 443}}},
		{"too scattered", scattered(maxRanges + 1), []portRange{{1, 65535}}},
	} {
		if got := egressPorts(c.ports); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := egressPorts(scattered(maxRanges)); len(got) != maxRanges {
		t.Errorf("%d scattered ports became %d ranges", maxRanges, len(got))
	}
}

func TestSpotShareIsHonouredToTheTask(t *testing.T) {
	type weights = map[string]float64
	for _, c := range []struct {
		size, share int
		want        weights
	}{
		{2, 0, weights{"FARGATE": 1}},
		{7, 100, weights{"FARGATE_SPOT": 1}},
		{2, 50, weights{"FARGATE": 1, "FARGATE_SPOT": 1}},
		{10, 35, weights{"FARGATE": 7, "FARGATE_SPOT": 3}},
		{10, 40, weights{"FARGATE": 3, "FARGATE_SPOT": 2}},
		{100, 99, weights{"FARGATE": 1, "FARGATE_SPOT": 99}},
		{3, 33, weights{"FARGATE": 1}}, // no whole task
		{3, 34, weights{"FARGATE": 2, "FARGATE_SPOT": 1}},
		{1, 99, weights{"FARGATE": 1}},
	} {
		got := weights{}
		for _, item := range *capacity(&params.Params{FleetSize: c.size, SpotShare: c.share}) {
			got[*item.CapacityProvider] = *item.Weight
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%d tasks, %d%%: %v, want %v", c.size, c.share, got, c.want)
		}
	}
}

func TestPeriodsAreWrittenAsFixedTimes(t *testing.T) {
	for every, want := range map[time.Duration]string{
		10 * time.Minute:   "cron(0/10 * * * ? *)",
		time.Hour:          "cron(0 0/1 * * ? *)",
		12 * time.Hour:     "cron(0 0/12 * * ? *)",
		24 * time.Hour:     "cron(0 0 * * ? *)",
		7 * 24 * time.Hour: "cron(0 0 ? * MON *)",
	} {
		if got := cron(every); got != want {
			t.Errorf("%v: %s, want %s", every, got, want)
		}
	}
}

func TestTryItUsesASchemeThatThePortsAllow(t *testing.T) {
	for _, c := range []struct {
		http, connect []int
		want          string
	}{
		{[]int{80}, []int{443}, "https://checkip.amazonaws.com"},
		{[]int{80}, nil, "http://checkip.amazonaws.com"},
		{[]int{80}, []int{8443}, "http://checkip.amazonaws.com"},
		{[]int{8080}, []int{8443}, ""},
	} {
		if got := tryURL(&params.Params{HTTPPorts: c.http, ConnectPorts: c.connect}); got != c.want {
			t.Errorf("%v, %v: %q, want %q", c.http, c.connect, got, c.want)
		}
	}
}

func TestOutputsOfSimilarUsersHaveNamesOfTheirOwn(t *testing.T) {
	var ids []string
	for _, user := range []string{"alice", "b.o-b", "bo_b", "b+ob"} {
		ids = append(ids, passwordOutput(user, ids))
	}
	want := []string{"PasswordOfalice", "PasswordOfbob", "PasswordOfbobX2", "PasswordOfbobX3"}
	if !slices.Equal(ids, want) {
		t.Errorf("%q, want %q", ids, want)
	}
}

func TestRangesInsideAnotherAreLeftOut(t *testing.T) {
	parse := func(list ...string) (prefixes []netip.Prefix) {
		for _, p := range list {
			prefixes = append(prefixes, netip.MustParsePrefix(p))
		}
		return prefixes
	}
	got := withoutContained(parse(
		"10.1.2.0/24", "2600::/64", "10.1.0.0/16", "2600::/56", "10.2.0.0/24", "10.1.0.0/16"))
	if want := parse("10.1.0.0/16", "10.2.0.0/24", "2600::/56"); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
