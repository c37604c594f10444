// Package cost computes what a fleet costs from AWS's list prices.
package cost

import "squidfleet/params"

// Prices are list prices of a region in US dollars.
type Prices struct {
	// VCPU and GB are an hour of Fargate, by architecture.
	VCPU, GB map[params.Architecture]float64
	// Spot is what of it Fargate Spot costs. AWS changes it with supply and demand.
	Spot float64
	// IPv4 is an hour of a public address.
	IPv4 float64
}

// Northern Virginia's prices in November 2026, from
// https://aws.amazon.com/fargate/pricing/ and https://aws.amazon.com/vpc/pricing/.
// The page says "up to 70 %" of Spot.
var usEast1 = Prices{
	VCPU: map[params.Architecture]float64{params.X8664: 0.04048, params.ARM64: 0.03238},
	GB:   map[params.Architecture]float64{params.X8664: 0.004445, params.ARM64: 0.00356},
	Spot: 0.3,
	IPv4: 0.005,
}
