package cost

import (
	"math"
	"reflect"
	"testing"

	"squidfleet/internal/capacity"
	"squidfleet/squid"
)

// figures are round: 100, 200 and 400 HTTPS requests or MB a second, and 2,000 tunnels or twice as
// many.
func figures() (f capacity.Figures) {
	for i, cpu := range []int{256, 512, 1024} {
		rate := capacity.Rate{PerSecond: 100 * math.Pow(2, float64(i))}
		f.Sizes = append(f.Sizes, capacity.Size{CPU: cpu, Memory: 2 * cpu, Tunnels: 2000 << i})
		f.Loads = append(f.Loads, capacity.Load{
			CPU: cpu, Auth: squid.AuthDigest, Connections: 16, Requests: rate, HTTPS: rate, MB: &rate,
		})
	}
	return f
}

func TestAFleetIsLargeEnoughForHalfOfWhatItsTasksCarry(t *testing.T) {
	const second = 730 * 3600 // of a month
	type object = map[string]any
	for _, c := range []struct {
		name    string
		traffic Traffic
		values  object
		share   float64
		sizes   []int // addresses for each size
	}{
		{"none", Traffic{Peak: 5}, nil, 0, []int{2, 2, 2}},
		{"requests", Traffic{Requests: 10 * second, Peak: 5}, nil, .5, []int{2, 2, 2}},
		{"requests and bytes", Traffic{Requests: 10 * second, GB: .04 * second, Peak: 5}, nil, 2.5, []int{5, 3, 2}},
		{"tunnels", Traffic{Tunnels: 5000}, nil, 2.5, []int{5, 3, 2}},
		{"tunnels and memory", Traffic{Tunnels: 5000}, object{"memory": 1024}, 1.25, []int{5, 3, 2}},
		{"more addresses", Traffic{Tunnels: 5000}, object{"fleetSize": 4}, 1.25, []int{5, 4, 4}},
		{"a larger cpu", Traffic{Tunnels: 5000}, object{"cpu": 512, "memory": 1024}, 1.25, []int{5, 3, 2}},
		{"a quarter of the hours", Traffic{Requests: 10 * second, Peak: 1},
			object{"activeHours": "mon,tue,wed,thu,fri,sat,sun 08:00-14:00"}, .4, []int{2, 2, 2}},
		{"more than there are ports", Traffic{Tunnels: 49_001}, nil, 49_001 / 2000., []int{0, 25, 13}},
		{"no ports", Traffic{Tunnels: 49_001}, object{"addressPorts": false}, 49_001 / 2000., []int{50, 25, 13}},
	} {
		p := parse(t, c.values)
		load := usEast1.load(p, c.traffic, figures())
		if math.Abs(load.Share-c.share) > 1e-6 {
			t.Errorf("%s: a share of %v, want %v", c.name, load.Share, c.share)
		}
		var want []Sized
		for i, n := range c.sizes {
			if n > 0 {
				p.CPU, p.Memory, p.FleetSize = 256<<i, 512<<i, n
				want = append(want, Sized{p.CPU, p.Memory, n, usEast1.OfFleet(p, c.traffic).Total})
			}
		}
		if !reflect.DeepEqual(load.Sizes, want) {
			t.Errorf("%s: %+v, want %+v", c.name, load.Sizes, want)
		}
	}
}
