package nlb

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreValidAndAWSs(t *testing.T) {
	t.Parallel()
	c := Defaults()
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	// Guide: the tables of health check settings and of target group attributes.
	if c.HealthCheck != (HealthCheck{30 * time.Second, 10 * time.Second, 5, 2}) ||
		c.IdleTimeout != 350*time.Second || c.DeregistrationDelay != 300*time.Second ||
		c.CrossZone || c.StickySourceIP || c.TerminateOnDeregistration || c.KeepUnhealthyConnections {
		t.Errorf("not AWS's defaults: %+v", c)
	}
}

func TestEveryBadSettingIsRefusedByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		set  func(*Config)
	}{
		{"Zones: ", func(c *Config) { c.Zones = nil }},
		{"Zones[1].Name: ", func(c *Config) { c.Zones = []Zone{{Name: "a"}, {}} }},
		{"Zones[1].Name: ", func(c *Config) { c.Zones = []Zone{{Name: "a"}, {Name: "a"}} }},
		{"Balance: ", func(c *Config) { c.Balance = "random" }},
		{"HealthCheck.Interval: ", func(c *Config) { c.HealthCheck.Interval = 0 }},
		{"HealthCheck.Timeout: ", func(c *Config) { c.HealthCheck.Timeout = -1 }},
		{"HealthCheck.HealthyThreshold: ", func(c *Config) { c.HealthCheck.HealthyThreshold = 0 }},
		{"HealthCheck.UnhealthyThreshold: ", func(c *Config) { c.HealthCheck.UnhealthyThreshold = 0 }},
		{"IdleTimeout: ", func(c *Config) { c.IdleTimeout = 0 }},
		{"ConnectTimeout: ", func(c *Config) { c.ConnectTimeout = 0 }},
		{"RegistrationDelay: ", func(c *Config) { c.RegistrationDelay = -1 }},
		{"DeregistrationDelay: ", func(c *Config) { c.DeregistrationDelay = -1 }},
		{"DeregistrationLag: ", func(c *Config) { c.DeregistrationLag = -1 }},
		{"DeregistrationLag: ", func(c *Config) { c.DeregistrationLag = 2*time.Minute + 1 }},
		{"VPCEndpointID: ", func(c *Config) { c.VPCEndpointID = "vpce-0123456789abcdef01" }},
		{"VPCEndpointID: ", func(c *Config) { c.VPCEndpointID = "vpce-\n" }},
		{"MaxConnections: ", func(c *Config) { c.MaxConnections = 0 }},
	} {
		config := Defaults()
		c.set(&config)
		b, err := New(config)
		if err == nil {
			b.Close()
			t.Errorf("%snot refused", c.want)
		} else if !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %q, want one line that begins with %q", err, c.want)
		}
	}
	if _, err := New(Config{}); err == nil || strings.Count(err.Error(), "\n") != 8 {
		t.Errorf("the zero Config: not all nine problems at once: %v", err)
	}
}
