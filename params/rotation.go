package params

import (
	"fmt"
	"slices"
	"time"
)

// off stands for never in rotateEvery. In JSON it is a string too: false would look like a switch
// with a true.
const off = "off"

// periods are the values of rotateEvery. Each divides an hour, a day or a week, so that a fixed
// schedule can have it and anybody can tell when the next rotation is.
var periods = []time.Duration{
	10 * time.Minute, 12 * time.Minute, 15 * time.Minute, 20 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 7 * 24 * time.Hour,
}

// period is one of the periods, or off, which is 0.
func period() kind[time.Duration] {
	var words []string
	for _, p := range periods {
		words = append(words, format(p))
	}
	limits := either(append(slices.Clone(words), off))
	return scalar("duration", limits, func(value any) (time.Duration, error) {
		word, _ := value.(string)
		if word == off {
			return 0, nil
		}
		d, ok := parseDuration(word)
		if !ok {
			return 0, fmt.Errorf("%s is not a period; give %s", show(value), limits)
		}
		i, found := slices.BinarySearch(periods, d)
		if !found {
			return 0, fmt.Errorf("%s does not fit into a schedule of fixed times; give %s, or %s", word,
				either(words[max(i-1, 0):min(i+1, len(words))]), off)
		}
		return d, nil
	})
}

// FormatPeriod writes a value of rotateEvery, 0 as off.
func FormatPeriod(every time.Duration) string {
	if every == 0 {
		return off
	}
	return format(every)
}

// ParsePeriod reads what FormatPeriod writes.
func ParsePeriod(s string) (time.Duration, error) {
	every, errs := period().read("rotateEvery", s)
	if errs != nil {
		return 0, errs
	}
	return every, nil
}

// LoadBalancerLag is how long the load balancer may send new connections to a deregistered task.
// No setting changes it and AWS does not document it. Up to two minutes were seen:
//
//	https://github.com/aws/containers-roadmap/issues/470
//	https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2366
const LoadBalancerLag = 2 * time.Minute

// The load balancer checks a task by connecting to it. The kernel accepts the connection, so a task
// that is short of processor time passes. A Squid that hangs is found by the container's own check.
//
// The interval and HealthyChecks are the least that AWS allows. A new task is in service one
// interval after its first check. With UnhealthyChecks a task may be away for ten seconds.
//
//	https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
const (
	CheckInterval   = 5 * time.Second
	CheckTimeout    = 4 * time.Second // a packet may be lost twice, which takes 1 and 2 s
	HealthyChecks   = 2
	UnhealthyChecks = 3
)

// CloudFormation gives up deleting an ECS service after longestDelete: the schema of
// AWS::ECS::Service says so under handlers.delete.timeoutInMinutes (aws cloudformation
// describe-type --type RESOURCE --type-name AWS::ECS::Service). Deleting one drains its tasks. ECS
// and CloudFormation take noticing for the steps.
const (
	longestDelete = 30 * time.Minute
	noticing      = 6 * time.Minute
	longestDrain  = longestDelete - LoadBalancerLag - stopTime - noticing
)

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
func roomToRotate(p *Params, refuse refusal) {
	if p.RotateEvery == 0 || p.RetryTime() >= leastRetry {
		return
	}
	i, _ := slices.BinarySearch(periods, p.RotationTime())
	refuse("rotateEvery", "%s is shorter than a rotation: %s to start it and its tasks, %s in which the load balancer "+
		"still sends connections, drainTimeout %s, and %s to stop; give at least %s, or a shorter drainTimeout",
		format(p.RotateEvery), format(leastRetry+startTime), format(LoadBalancerLag), format(p.DrainTimeout),
		format(stopTime), format(periods[i]))
}
