package params

import (
	"math/bits"
	"time"
)

// Each egress address is an ECS service of one task and has a number, from 1 to fleetSize. The
// listener of address k has the port listenerPort + k.

// AddressTag is the tag of an address's ECS service. Its value is the address's number. The
// operator's command knows the services by it, because none has a name of its own.
const AddressTag = ownTags + "address"

// ownTags begins the keys of the fleet's own tags.
const ownTags = "squidfleet:"

// BaseLabel is the container's label that names the image from which its own is built. OCI names it
// so (https://github.com/opencontainers/image-spec/blob/main/annotations.md).
const BaseLabel = "org.opencontainers.image.base.name"

// RotationOffset is how long after the beginning of a period an address is rotated: the
// bit-reversed number as a fraction of the period (0, 1/2, 1/4, 3/4, 1/8, …). It does not depend
// on fleetSize, and the offsets of any fleetSize are spread evenly.
func RotationOffset(number int, every time.Duration) time.Duration {
	fraction := float64(bits.Reverse32(uint32(number-1))) / (1 << 32)
	return time.Duration(fraction * float64(every))
}

// NextRotation is the first time after now at which the schedule rotates an address. Schedules
// know whole minutes. Periods begin at midnight UTC, that of 7 days on Monday.
func NextRotation(number int, every time.Duration, now time.Time) time.Time {
	offset := RotationOffset(number, every).Truncate(time.Minute)
	// Truncate counts from 1 January of the year 1, which was a Monday.
	return now.UTC().Add(-offset).Truncate(every).Add(every + offset)
}

// AddressPort returns the port that leads to an address, or 0 if addresses have no ports.
func (p *Params) AddressPort(number int) int {
	if !p.AddressPorts {
		return 0
	}
	return p.ListenerPort + number
}

// SpotAddresses is how many addresses are on Fargate Spot. A fraction of one stays on demand.
func (p *Params) SpotAddresses() int { return p.FleetSize * p.SpotShare / 100 }
