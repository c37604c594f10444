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

// task is what an hour of one task costs without its address.
func (prices Prices) task(p *params.Params, spot bool) float64 {
	hour := prices.VCPU[p.Architecture]*float64(p.CPU)/1024 + prices.GB[p.Architecture]*float64(p.Memory)/1024
	if spot {
		hour *= spotShare
	}
	return hour
}

// Overlap is how long old and new task of an address run side by side in a rotation, if the old
// one's connections end within the drainTimeout.
func Overlap(p *params.Params) time.Duration { return start + p.DeregistrationDelay() }

// overlapShare is the overlap of rotations as a share of the hours in service.
func overlapShare(p *params.Params) float64 {
	if p.RotateEvery == 0 {
		return 0
	}
	return float64(Overlap(p)) / float64(p.RotateEvery)
}

// Address is what an egress address costs that is in service for some hours, its rotations
// included.
func (prices Prices) Address(p *params.Params, spot bool, hours float64) float64 {
	return (prices.task(p, spot) + prices.IPv4) * hours * (1 + overlapShare(p))
}

// activeDay is how long an address runs on a day on which it runs, and activeDays on how many days
// of a month it does. A change of the clock is left out.
func activeDay(h params.ActiveHours) time.Duration {
	if len(h.Days) == 0 {
		return 24 * time.Hour
	}
	return (h.Stop - h.Start + 24*time.Hour) % (24 * time.Hour)
}

func activeDays(h params.ActiveHours) float64 {
	days := month.Hours() / 24
	if len(h.Days) > 0 {
		days *= float64(len(h.Days)) / 7
	}
	return days
}

// activeHours are the hours a month in which an address runs.
func activeHours(p *params.Params) float64 {
	return activeDay(p.ActiveHours).Hours() * activeDays(p.ActiveHours)
}
