package params

import (
	"fmt"
	"time"
)

// LoadBalancerLag is how long the load balancer may go on sending new connections to a task that it was told to forget. No setting changes it, and AWS documents it nowhere: up to two minutes were seen
// (https://github.com/aws/containers-roadmap/issues/470, https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2366).
const LoadBalancerLag = 2 * time.Minute

// longestDelay is the longest deregistration delay of a load balancer (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html).
const longestDelay = time.Hour

// DeregistrationDelay is how long the load balancer and ECS leave an old task alone: the last connection that the lag brings has the drainTimeout too.
func (p *Params) DeregistrationDelay() time.Duration { return p.DrainTimeout + LoadBalancerLag }

// What a rotation takes besides the deregistration delay: until the new tasks have started, pulled the image and passed the load balancer's health checks,
// and at the end what ECS gives a container to stop, which is 120 s at most on Fargate
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
const (
	startTime = 5 * time.Minute
	stopTime  = 2 * time.Minute
)

// A rotation that could not be started is tried again within the time to the next one that it does not need itself. EventBridge Scheduler takes no less than a minute
// (https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html); after an hour the next rotation may as well make up for it.
const (
	leastRetry = time.Minute
	mostRetry  = time.Hour
)

// besidesDrain is what rotateEvery has to hold besides drainTimeout.
const besidesDrain = startTime + LoadBalancerLag + stopTime + leastRetry

// RetryTime is how long after its time a rotation may still be started, so that it is over before the next one. It is of no meaning without rotateEvery.
func (p *Params) RetryTime() time.Duration {
	return min(p.RotateEvery-(besidesDrain-leastRetry+p.DrainTimeout), mostRetry)
}

// roomToRotate refuses rotations that would overtake one another: a new one begins by giving up the one that is under way.
func roomToRotate(p *Params) Errors {
	if p.RotateEvery == 0 || p.RetryTime() >= leastRetry {
		return nil
	}
	least := (besidesDrain + p.DrainTimeout + time.Minute - 1).Truncate(time.Minute)
	return Errors{{"rotateEvery", fmt.Sprintf("%s is over before a rotation is: %s to start it and its tasks, drainTimeout %s, %s that the load balancer goes on sending connections, and %s to stop; give at least %s, or a shorter drainTimeout",
		format(p.RotateEvery), format(leastRetry+startTime), format(p.DrainTimeout), format(LoadBalancerLag), format(stopTime), format(least))}}
}
