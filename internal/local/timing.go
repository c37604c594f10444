package local

import (
	"time"

	"squidfleet/internal/nlb"
	"squidfleet/params"
	"squidfleet/proxyimage/container"
)

// Timing holds the times that AWS imposes on a fleet.
type Timing struct {
	// HealthCheck is the load balancer's.
	HealthCheck nlb.HealthCheck
	// DeregistrationDelay is how long a deregistered task's connections may go on.
	DeregistrationDelay time.Duration
	// StopDelay is how long ECS waits from a task's deregistration to SIGTERM: on AWS, the
	// DeregistrationDelay. With a shorter one the load balancer has not forgotten the task yet.
	StopDelay time.Duration
	// DeregistrationLag is how long the load balancer goes on sending new connections to a
	// deregistered task, 0 to [nlb.MaxDeregistrationLag].
	DeregistrationLag time.Duration
	// TaskDrain is how long the entrypoint serves on after SIGTERM, its SQUIDFLEET_DRAIN_TIMEOUT.
	TaskDrain time.Duration
	// StopTimeout is the time from SIGTERM to SIGKILL.
	StopTimeout time.Duration
}

// stopReserve is what the entrypoint needs after its drain. Squid's share of it cannot be divided.
const stopReserve = container.StopTimeout - container.DrainTimeout

// AWS returns the times of a deployed fleet. The lag is the longest that was seen.
func AWS(p *params.Params) Timing {
	return Timing{
		HealthCheck: nlb.HealthCheck{
			Interval: params.CheckInterval, Timeout: params.CheckTimeout,
			HealthyThreshold: params.HealthyChecks, UnhealthyThreshold: params.UnhealthyChecks,
		},
		DeregistrationDelay: p.DeregistrationDelay(),
		StopDelay:           p.DeregistrationDelay(),
		DeregistrationLag:   params.LoadBalancerLag,
		TaskDrain:           container.DrainTimeout,
		StopTimeout:         container.StopTimeout,
	}
}

// Faster divides all times by the same positive number. The reserve between TaskDrain and
// StopTimeout stays, and a target always has half a second to answer a health check.
func (t Timing) Faster(by float64) Timing {
	for _, d := range []*time.Duration{
		&t.HealthCheck.Interval, &t.HealthCheck.Timeout, &t.DeregistrationDelay, &t.StopDelay, &t.DeregistrationLag,
		&t.TaskDrain,
	} {
		*d = time.Duration(float64(*d) / by)
	}
	t.HealthCheck.Timeout = max(t.HealthCheck.Timeout, 500*time.Millisecond)
	t.StopTimeout = t.TaskDrain + stopReserve
	return t
}

// startAllowance is what the start of a task's programs may take on a busy machine.
const startAllowance = 3 * time.Second

// healthy is how long a task takes at most from its start to its service.
func (t Timing) healthy() time.Duration {
	h := t.HealthCheck
	return startAllowance + time.Duration(h.HealthyThreshold)*(h.Interval+h.Timeout)
}

// Rotation is how long a rotation takes at most, from the new tasks' start to the old ones' end.
func (t Timing) Rotation() time.Duration {
	return t.healthy() + t.StopDelay + t.TaskDrain + container.StopGrace
}
