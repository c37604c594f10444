package nlb

import (
	"context"
	"fmt"
)

// checkRepeatedly sends health checks to t until ctx ends.
func (b *Balancer) checkRepeatedly(ctx context.Context, t *target) {
	for {
		b.record(t, b.checkOnce(ctx, t.Target))
		if !sleep(ctx, b.config.HealthCheck.Interval) {
			return
		}
	}
}

// checkOnce is one TCP health check: connect, say LOCAL, close.
func (b *Balancer) checkOnce(ctx context.Context, t Target) error {
	ctx, cancel := context.WithTimeout(ctx, b.config.HealthCheck.Timeout)
	defer cancel()
	connection, err := dial(ctx, b.config.Nodes[0], t.Addr)
	if err != nil {
		return err
	}
	defer connection.Close()
	// The socket is new and its buffer empty: this cannot block on the target.
	if _, err := connection.Write(localHeader()); err != nil {
		return fmt.Errorf("send the PROXY header of a health check: %w", err)
	}
	return nil
}

// record counts a check's result. A target that becomes unhealthy keeps its connections.
func (b *Balancer) record(t *target, result error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if result == nil {
		t.passed, t.failed, t.failure = t.passed+1, 0, ""
		if t.passed >= b.config.HealthCheck.HealthyThreshold {
			t.checked = Healthy
		}
	} else {
		t.passed, t.failed, t.failure = 0, t.failed+1, result.Error()
		if t.failed >= b.config.HealthCheck.UnhealthyThreshold {
			t.checked = Unhealthy
		}
	}
}
