package cost

import (
	"fmt"
	"math"

	"squidfleet/internal/capacity"
	"squidfleet/params"
	"squidfleet/squid"
)

// reserve is how many times the peak a fleet should carry. The figures are another machine's, and
// the load balancer does not spread connections evenly.
const reserve = 2

// Load is the traffic at its peak, and whether a fleet is large enough for it.
type Load struct {
	// Requests are HTTPS ones, with a tunnel each.
	Requests float64 `json:"requestsPerSecond"`
	MB       float64 `json:"mbPerSecond"`
	Tunnels  float64 `json:"tunnels"`
	// Share is what of half of the fleet's capacity that is. A fleet is too small above 1.
	Share float64 `json:"share"`
	// Measured says where the capacity comes from.
	Measured string `json:"measured"`
	// Sizes holds a fleet for each size of a task that is large enough, with as many addresses as this
	// one or more. One that could not be deployed is left out.
	Sizes []Sized `json:"sizes"`
}

// Sized is a fleet of tasks of one size.
type Sized struct {
	CPU       int     `json:"cpu"`
	Memory    int     `json:"memory"`
	FleetSize int     `json:"fleetSize"`
	Total     float64 `json:"total"`
}

// load compares the traffic with what was measured.
func (prices Prices) load(p *params.Params, t Traffic, f capacity.Figures) Load {
	seconds := activeHours(p) * 3600
	load := Load{
		Requests: t.Requests / seconds * t.Peak, MB: t.GB * 1000 / seconds * t.Peak, Tunnels: t.Tunnels,
		Measured: fmt.Sprintf("%s, %d cores, %s", f.Machine, f.Cores, f.Date),
	}
	load.Share = load.tasks(f, p.CPU, p.Memory, p.Auth) / float64(p.FleetSize)
	for _, size := range f.Sizes {
		other := *p
		other.CPU, other.Memory = size.CPU, size.Memory
		other.FleetSize = max(p.FleetSize, int(math.Ceil(load.tasks(f, size.CPU, size.Memory, p.Auth))))
		if other.FleetSize <= p.MostAddresses() {
			load.Sizes = append(load.Sizes, Sized{
				size.CPU, size.Memory, other.FleetSize, prices.estimate(&other, t).Total,
			})
		}
	}
	return load
}

// tasks is how many of a size carry the load with the reserve. Requests and bytes share the
// processor.
func (l Load) tasks(f capacity.Figures, cpu, memory int, auth squid.Auth) float64 {
	task := f.Task(cpu, auth)
	descriptors := func(memory int) float64 { return float64(squid.Config{Memory: memory}.Descriptors()) }
	tunnels := float64(task.Tunnels) * descriptors(memory) / descriptors(task.Memory)
	return reserve * max(l.Requests/task.HTTPS.PerSecond+l.MB/task.MB.PerSecond, l.Tunnels/tunnels)
}
