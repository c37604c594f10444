package stacks

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"squidfleet/params"
	"squidfleet/squid"
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

func TestTheLastAddressesAreOnSpot(t *testing.T) {
	for _, c := range []struct{ size, share, spots int }{
		{2, 0, 0}, {7, 100, 7}, {2, 50, 1}, {10, 35, 3}, {100, 99, 99}, {3, 33, 0}, {3, 34, 1}, {1, 99, 0},
	} {
		for number := 1; number <= c.size; number++ {
			want := onDemand
			if number > c.size-c.spots {
				want = spot
			}
			if got := provider(&params.Params{FleetSize: c.size, SpotShare: c.share}, number); got != want {
				t.Errorf("address %d of %d, %d%%: %s, want %s", number, c.size, c.share, got, want)
			}
		}
	}
}

func TestRotationsAreFixedTimes(t *testing.T) {
	for _, c := range []struct {
		number int
		every  time.Duration
		want   string
	}{
		{1, 10 * time.Minute, "cron(0/10 * * * ? *)"},
		{5, 12 * time.Minute, "cron(1/12 * * * ? *)"}, // 90 s, in whole minutes
		{1, time.Hour, "cron(0 0/1 * * ? *)"},
		{3, time.Hour, "cron(15 0/1 * * ? *)"},
		{2, 3 * time.Hour, "cron(30 1/3 * * ? *)"},
		{4, 12 * time.Hour, "cron(0 9/12 * * ? *)"},
		{6, day, "cron(0 15 * * ? *)"},
		{1, 7 * day, "cron(0 0 ? * MON *)"},
		{2, 7 * day, "cron(0 12 ? * THU *)"},
		{8, 7 * day, "cron(0 3 ? * SUN *)"},
	} {
		if got := cron(c.number, c.every); got != c.want {
			t.Errorf("address %d every %v: %s, want %s", c.number, c.every, got, c.want)
		}
	}
}

func TestThresholdsFollowTheParameters(t *testing.T) {
	p := &params.Params{FleetSize: 7, CPU: 1024, Memory: 4096, Users: []string{"alice", "bob"}, Metrics: true,
		Digest: squid.DigestFleet}
	thresholds := map[string]float64{}
	for _, a := range (figures{p: p}).alarms() {
		thresholds[a.id] = a.threshold
	}
	for id, want := range map[string]float64{
		"TooFewHealthy": 4, "Guessing": 100, "DescriptorsScarce": 32768, "MemoryScarce": 4096 << 20 / 10 * 9,
	} {
		if thresholds[id] != want {
			t.Errorf("%s: %v, want %v", id, thresholds[id], want)
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
