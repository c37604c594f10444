package params

import (
	"fmt"
	"time"
)

// LoadBalancerLag is how long the load balancer may send new connections to a deregistered task.
// No setting changes it and AWS does not document it. Up to two minutes were seen:
//
//	https://github.com/aws/containers-roadmap/issues/470
//	https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2366
const LoadBalancerLag = 2 * time.Minute

// longestDelay is the longest deregistration delay of a target group, as the Network Load
// Balancer's user guide says ("Edit target group attributes").
const longestDelay = time.Hour

// DeregistrationDelay is how long the load balancer and ECS leave an old task alone. The last
// connection within the lag has the drainTimeout too.
func (p *Params) DeregistrationDelay() time.Duration { return p.DrainTimeout + LoadBalancerLag }

// What a rotation takes besides the deregistration delay.
const (
	// startTime is for new tasks to start, pull the image and pass the load balancer's health
	// checks.
	startTime = 5 * time.Minute
	// stopTime is for a container to stop, on Fargate 120 s at most
	// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
	stopTime = 2 * time.Minute
)

// A rotation that could not be started is tried again until too little time is left before the
// next one.
const (
	// leastRetry is EventBridge Scheduler's least
	// (https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html).
	leastRetry = time.Minute
	// After mostRetry the next rotation will do.
	mostRetry = time.Hour
)

// besidesDrain is the least difference between rotateEvery and drainTimeout.
const besidesDrain = startTime + LoadBalancerLag + stopTime + leastRetry

// RetryTime is how late a rotation may start and still end before the next one. It has no meaning
// without rotateEvery.
func (p *Params) RetryTime() time.Duration {
	return min(p.RotateEvery-(besidesDrain-leastRetry+p.DrainTimeout), mostRetry)
}

// RotationTime is how long a rotation takes at most, its start included.
func (p *Params) RotationTime() time.Duration { return besidesDrain + p.DrainTimeout }

// roomToRotate refuses rotations that overlap: a new one gives up the one under way.
func roomToRotate(p *Params) Errors {
	if p.RotateEvery == 0 || p.RetryTime() >= leastRetry {
		return nil
	}
	least := (p.RotationTime() + time.Minute - 1).Truncate(time.Minute)
	return Errors{{"rotateEvery", fmt.Sprintf("%s is shorter than a rotation: %s to start it and its tasks, "+
		"%s in which the load balancer still sends connections, drainTimeout %s, and %s to stop; "+
		"give at least %s, or a shorter drainTimeout",
		format(p.RotateEvery), format(leastRetry+startTime), format(LoadBalancerLag), format(p.DrainTimeout),
		format(stopTime), format(least))}}
}
