package cost

import (
	"time"

	"squidfleet/params"
)

const (
	// month is the length that AWS's own examples have.
	month = 730 * time.Hour
	// start is what a task is assumed to need from the download of its image, with which Fargate
	// begins to count, until the load balancer finds it healthy.
	start = time.Minute
)

// Hour is what an hour of one task with its address costs.
func (prices Prices) Hour(p *params.Params, spot bool) float64 {
	fargate := prices.VCPU[p.Architecture]*float64(p.CPU)/1024 + prices.GB[p.Architecture]*float64(p.Memory)/1024
	if spot {
		fargate *= prices.Spot
	}
	return fargate + prices.IPv4
}

// Overlap is how long old and new task of an address run side by side in a rotation, if the old
// one's connections end within the drainTimeout.
func Overlap(p *params.Params) time.Duration { return start + p.DeregistrationDelay() }

// Address is what an egress address costs a month in which it is in service for some hours, its
// rotations included.
func (prices Prices) Address(p *params.Params, spot bool, hours float64) float64 {
	overlap := 0.0
	if p.RotateEvery > 0 {
		overlap = float64(Overlap(p)) / float64(p.RotateEvery)
	}
	return prices.Hour(p, spot) * hours * (1 + overlap)
}

// Distinct is what one of the values of an egress address costs, where AWS gives another one with
// each rotation.
func (prices Prices) Distinct(p *params.Params, spot bool) float64 {
	return prices.Address(p, spot, p.RotateEvery.Hours())
}
