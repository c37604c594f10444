package nlb

import (
	"context"
	"fmt"
	"time"
)

// checkRepeatedly sends health checks to t until ctx ends.
func (b *Balancer) checkRepeatedly(ctx context.Context, t *target) {
	if !sleep(ctx, b.config.RegistrationDelay) {
		return
	}
	b.mu.Lock()
	if ctx.Err() == nil { // else this registration is over, and another may have begun
		t.checking = true
		b.notify()
	}
	b.mu.Unlock()
	for {
		b.record(ctx, t, b.checkOnce(ctx, t.Target))
		if !sleep(ctx, b.config.HealthCheck.Interval) {
			return
		}
	}
}

// checkOnce is one TCP health check: connect, say LOCAL, close.
func (b *Balancer) checkOnce(ctx context.Context, t Target) error {
	ctx, cancel := context.WithTimeout(ctx, b.config.HealthCheck.Timeout)
	defer cancel()
	connection, err := b.dial(ctx, b.node(t.Zone), t.Addr)
	if err != nil {
		return err
	}
	defer connection.Close()
	deadline, _ := ctx.Deadline()
	if err := connection.SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("set the deadline of a health check: %w", err)
	}
	if _, err := connection.Write(b.local); err != nil {
		return fmt.Errorf("send the PROXY header of a health check: %w", err)
	}
	return nil
}

// record counts a check's result and draws the consequences. A result that
// arrives after ctx's end belongs to a registration that is over.
func (b *Balancer) record(ctx context.Context, t *target, result error) {
	b.mu.Lock()
	if ctx.Err() != nil {
		b.mu.Unlock()
		return
	}
	var doomed []*conn
	verdict := t.checked
	if result == nil {
		t.passed, t.failed, t.failure = t.passed+1, 0, ""
		if t.passed >= b.config.HealthCheck.HealthyThreshold {
			verdict = Healthy
		}
	} else {
		t.passed, t.failed, t.failure = 0, t.failed+1, result.Error()
		if t.failed >= b.config.HealthCheck.UnhealthyThreshold {
			verdict = Unhealthy
		}
	}
	if verdict != t.checked {
		before := t.state()
		t.checked = verdict
		if t.state() != before {
			t.since = time.Now()
		}
		if verdict == Unhealthy && !b.config.KeepUnhealthyConnections && b.anyHealthy(t.Zone) {
			doomed = t.connections()
		}
		b.notify()
	}
	b.mu.Unlock()
	resetAll(doomed, &b.stats.unhealthy)
}
