package cost

import (
	"fmt"
	"math"

	"squidfleet/params"
)

// Way is a way to have a number of egress addresses, without what all ways need: load balancer,
// log, and traffic but for what a NAT gateway takes for it.
type Way struct {
	Name string `json:"name"`
	// Month and PerAddress are what it costs a month.
	Month      float64 `json:"month"`
	PerAddress float64 `json:"perAddress"`
	// DistinctADay is how many addresses a day on which it runs sees, PerDistinct what each of them
	// costs.
	DistinctADay float64 `json:"distinctADay"`
	PerDistinct  float64 `json:"perDistinct"`
}

// How many addresses the other ways have. A zonal NAT gateway takes 2 until a quota is raised, and
// 8 at most (https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html); a regional
// one 32 a zone (https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateways-regional.html); a
// t4g.nano two on each of two network interfaces
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AvailableIpPerENI.html).
const (
	natAddresses         = 8
	regionalNATAddresses = 32
	instanceAddresses    = 4
	instanceDisk         = 8 // GB
)

// compare computes this fleet and the other ways to as many addresses. Those run always, because
// an address that is kept costs the same when nothing uses it.
func (prices Prices) compare(p *params.Params, t Traffic) []Way {
	size, spot, hours := float64(p.FleetSize), float64(p.SpotAddresses()), activeHours(p)
	fleet := (size-spot)*prices.Address(p, false, hours) + spot*prices.Address(p, true, hours)
	distinct := size
	if p.RotateEvery > 0 {
		distinct *= max(1, float64(activeDay(p.ActiveHours))/float64(p.RotateEvery))
	}
	ways := []Way{{
		Name: "this fleet", Month: fleet, PerAddress: fleet / size,
		DistinctADay: distinct, PerDistinct: fleet / activeDays(p.ActiveHours) / distinct,
	}}
	add := func(name string, things, perHour, perMonth float64) {
		cost := things*perHour*month.Hours() + perMonth + size*prices.IPv4*month.Hours()
		ways = append(ways, Way{name, cost, cost / size, size, cost / (month.Hours() / 24) / size})
	}
	add("NAT gateways, 8 addresses each", math.Ceil(size/natAddresses), prices.NAT, t.GB*prices.NATGB)
	add("regional NAT gateway, 32 addresses a zone", math.Ceil(size/regionalNATAddresses), prices.RegionalNAT,
		t.GB*prices.NATGB)
	nano := func(name string, addresses float64) {
		instances := math.Ceil(size / addresses)
		add(name, instances, prices.Instance, instances*instanceDisk*prices.Disk)
	}
	nano("t4g.nano, one address each", 1)
	nano("t4g.nano, 4 addresses each", instanceAddresses)
	return ways
}

// Lost says where another way costs less than this fleet.
func (e Estimate) Lost() (lines []string) {
	fleet := e.Comparison[0]
	for _, way := range e.Comparison[1:] {
		switch {
		case way.PerDistinct < fleet.PerDistinct:
			lines = append(lines, fmt.Sprintf("%s: Fargate loses, $%.2f an address instead of $%.2f, and also for "+
				"each distinct address of a day", way.Name, way.PerAddress, fleet.PerAddress))
		case way.PerAddress < fleet.PerAddress:
			lines = append(lines, fmt.Sprintf("%s: Fargate loses, $%.2f an address instead of $%.2f, where addresses "+
				"may stay the same", way.Name, way.PerAddress, fleet.PerAddress))
		}
	}
	return lines
}
