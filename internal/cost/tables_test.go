package cost

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"squidfleet/internal/doctest"
	"squidfleet/params"
)

// usEast1 are the prices of the documents.
var usEast1 = table["us-east-1"]

func parse(t *testing.T, values map[string]any) *params.Params {
	t.Helper()
	p, err := params.Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What an address costs, and one of its values.
func TestTheDocumentHoldsTheTables(t *testing.T) {
	var b strings.Builder
	fmt.Fprintln(&b, "| | never rotated | `rotateEvery` 1h | 1h, `activeHours` mon-fri 07:00-19:00 |")
	fmt.Fprintln(&b, "|---|---|---|---|")
	for _, architecture := range []params.Architecture{params.X8664, params.ARM64} {
		for _, spot := range []bool{false, true} {
			values := map[string]any{"architecture": string(architecture), "rotateEvery": "off"}
			name := string(architecture)
			if spot {
				name += ", Spot"
			}
			fmt.Fprintf(&b, "| %s | $%.2f", name, usEast1.Address(parse(t, values), spot, month.Hours()))
			values["rotateEvery"] = "1h"
			p := parse(t, values)
			fmt.Fprintf(&b, " | $%.2f", usEast1.Address(p, spot, activeHours(p)))
			values["activeHours"] = "mon-fri 07:00-19:00"
			p = parse(t, values)
			fmt.Fprintf(&b, " | $%.2f |\n", usEast1.Address(p, spot, activeHours(p)))
		}
	}
	doctest.Section(t, "../..", "address costs", b.String())

	b.Reset()
	fmt.Fprintln(&b, "| `rotateEvery` | distinct addresses a day | each, x86_64 | each, arm64 on Spot |")
	fmt.Fprintln(&b, "|---|---|---|---|")
	for _, every := range []string{"12m", "15m", "30m", "1h", "4h", "12h", "1d", "7d"} {
		x86 := parse(t, map[string]any{"rotateEvery": every})
		arm := parse(t, map[string]any{"rotateEvery": every, "architecture": "arm64"})
		fmt.Fprintf(&b, "| %s | %.3g | %.2f¢ | %.2f¢ |\n", every, 24/x86.RotateEvery.Hours(),
			100*distinct(x86, false), 100*distinct(arm, true))
	}
	doctest.Section(t, "../..", "distinct costs", b.String())
}

func TestTheReadmeHoldsTheCosts(t *testing.T) {
	var b strings.Builder
	e := usEast1.OfFleet(parse(t, nil), ExampleTraffic)
	fmt.Fprintln(&b, "| | | | a month |\n|---|---|---|---|")
	for _, item := range e.Items {
		fmt.Fprintf(&b, "| %s | %s | %s | $%.2f |\n", item.Name, item.Amount(), item.UnitPrice(), item.Cost)
	}
	fmt.Fprintf(&b, "| **in all** | | | **$%.2f** |\n", e.Total)
	const hours = "mon-fri 07:00-19:00"
	working := usEast1.OfFleet(parse(t, map[string]any{"activeHours": hours}), ExampleTraffic)
	fmt.Fprintf(&b, "| **with `activeHours` %s** | | | **$%.2f** |\n", hours, working.Total)
	doctest.Section(t, "../..", "fleet costs", b.String())
}

func TestTheDocumentHoldsTheComparison(t *testing.T) {
	var b strings.Builder
	sizes := []int{2, 8, 32}
	fmt.Fprint(&b, "| an address a month |")
	for _, size := range sizes {
		fmt.Fprintf(&b, " %d addresses |", size)
	}
	fmt.Fprintln(&b, " each distinct address of a day, with 32 |\n|---|---|---|---|---|")
	row := func(name string, way func(size int) Way) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, size := range sizes {
			fmt.Fprintf(&b, " $%.2f |", way(size).PerAddress)
		}
		fmt.Fprintf(&b, " %.2f¢ |\n", 100*way(32).PerDistinct)
	}
	ways := func(size int, values map[string]any) []Way {
		all := map[string]any{"fleetSize": size}
		maps.Copy(all, values)
		return usEast1.OfFleet(parse(t, all), Traffic{}).Comparison
	}
	x86 := map[string]any{}
	row("Fargate, x86_64, `rotateEvery` 1h", func(size int) Way { return ways(size, x86)[0] })
	spot := map[string]any{"architecture": "arm64", "spotShare": 100}
	row("Fargate, arm64 on Spot, `rotateEvery` 1h", func(size int) Way { return ways(size, spot)[0] })
	for i, way := range ways(1, x86)[1:] {
		row(way.Name, func(size int) Way { return ways(size, x86)[1+i] })
	}
	doctest.Section(t, "../..", "costs compared", b.String())
}

// Figures that the documents do not show.
func TestItemsFollowTheParameters(t *testing.T) {
	find := func(name string, traffic Traffic, values map[string]any) float64 {
		for _, item := range usEast1.OfFleet(parse(t, values), traffic).Items {
			if item.Name == name {
				return item.Quantity
			}
		}
		return 0
	}
	type object = map[string]any
	tls := object{"domainName": "proxy.example.com", "hostedZoneId": "Z0123456789ABCDEFGHIJ"}
	for _, c := range []struct {
		item    string
		traffic Traffic
		values  object
		want    float64
	}{
		{"tasks, arm64, Spot", Traffic{}, object{"fleetSize": 7, "spotShare": 50, "architecture": "arm64"}, 3 * 730},
		{"tasks, arm64", Traffic{}, object{"fleetSize": 7, "spotShare": 50, "architecture": "arm64"}, 4 * 730},
		{"overlap of rotations", Traffic{}, object{"rotateEvery": "off"}, 0},
		{"addresses of the tasks", Traffic{}, object{"activeHours": "sat,sun 22:00-04:00"}, 2 * 730. / 24 * 2 / 7 * 6},
		{"addresses of the load balancer", Traffic{}, object{"activeHours": "sat,sun 22:00-04:00"}, 1460},
		// 1,600 connections a second, and 1 GB an hour.
		{"units of the load balancer", Traffic{GB: 730, Requests: 1600 * 730 * 3600}, nil, 2 * 730},
		{"units of the load balancer", Traffic{GB: 2190, Requests: 1600 * 730 * 3600}, nil, 3 * 730},
		{"addresses of the load balancer", Traffic{}, object{"endpoint": "internal"}, 0},
		{"units of the load balancer", Traffic{GB: 730, Requests: 100 * 730 * 3600}, tls, 2 * 730},
		{"secrets", Traffic{}, object{"auth": "none"}, 0},
		{"secrets", Traffic{}, object{"auth": "basic", "allowPlaintextBasic": true}, 1},
		{"secrets", Traffic{}, object{"users": []any{"a", "b"}, "digest": "squid", "fleetSize": 1}, 2},
		{"secrets", Traffic{}, object{"users": []any{"a", "b"}, "credentials": "image"}, 1},
	} {
		if got := find(c.item, c.traffic, c.values); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s of %v: %v, want %v", c.item, c.values, got, c.want)
		}
	}
}

// A NAT gateway is paid for traffic, the fleet for what it does not serve at night.
func TestComparison(t *testing.T) {
	day := map[string]any{"activeHours": "mon-fri 07:00-19:00", "fleetSize": 9, "spotShare": 100}
	e := usEast1.OfFleet(parse(t, day), Traffic{GB: 1000})
	fleet, nat := e.Comparison[0], e.Comparison[1]
	if fleet.DistinctADay != 9*12 {
		t.Errorf("%v distinct addresses a day", fleet.DistinctADay)
	}
	if want := distinct(parse(t, day), true); math.Abs(fleet.PerDistinct-want) > 1e-9 {
		t.Errorf("a distinct address costs %v, want %v", fleet.PerDistinct, want)
	}
	if want := 2*.045*730 + 9*.005*730 + 1000*.045; math.Abs(nat.Month-want) > 1e-9 {
		t.Errorf("two NAT gateways cost %v, want %v", nat.Month, want)
	}
	if lost := e.Lost(); len(lost) > 0 {
		t.Errorf("%q", lost)
	}
	weekly := usEast1.OfFleet(parse(t, map[string]any{"rotateEvery": "7d"}), Traffic{})
	if lost := weekly.Lost(); len(lost) != 2 || weekly.Comparison[0].DistinctADay != 2 ||
		!strings.Contains(lost[0], "distinct") {
		t.Errorf("%v, %q", weekly.Comparison[0], lost)
	}
}

// distinct is what one of the values of an egress address costs, where AWS gives another one with
// each rotation.
func distinct(p *params.Params, spot bool) float64 {
	return usEast1.Address(p, spot, p.RotateEvery.Hours())
}
