package integration

import (
	"fmt"
	"net/netip"
	"testing"

	"squidfleet/internal/rig"
)

// healthProblems are wrong answers of the health check's port, which opens nothing.
func healthProblems(task *squidTask) (problems []string) {
	loopback := netip.MustParseAddr("127.0.0.1")
	port := netip.AddrPortFrom(loopback, task.Addr.Port()+1)
	check := client(task)
	check.Task, check.From, check.Header = port, loopback, rig.ProxyHeader(loopback)
	for _, c := range []struct {
		name   string
		change func(c *rig.Client)
		status int
	}{
		{"with credentials", func(*rig.Client) {}, refused},
		{"with a client's address", func(c *rig.Client) { c.Header = rig.ProxyHeader(insider) }, refused},
		{"without credentials", func(c *rig.Client) { c.User = "" }, 407},
		{"with a wrong password", func(c *rig.Client) { c.Password = "wrong password" }, 407},
		{"from elsewhere", func(c *rig.Client) { c.From = neighbour }, cutOff},
		{"without a PROXY header", func(c *rig.Client) { c.Header = nil }, cutOff},
		{"at another address of the task", func(c *rig.Client) {
			c.Task = netip.AddrPortFrom(loadBalancer, port.Port())
		}, cutOff},
	} {
		for _, method := range []string{"GET", "CONNECT"} {
			who := check
			c.change(&who)
			status := cutOff
			response, err := who.Request(method, originOf[method])
			if err == nil {
				status = response.StatusCode
			}
			if status != c.status {
				problems = append(problems, fmt.Sprintf("health port, %s %s: status %d, want %d (%v)",
					method, c.name, status, c.status, err))
			}
		}
	}
	return problems
}

func TestTheHealthPortOpensNothing(t *testing.T) {
	inBothModes(t, theHealthPortOpensNothing)
}

func theHealthPortOpensNothing(t *testing.T, mode map[string]any) {
	w := newWorld(t)
	task := startTask(t, options(mode))
	report(t, healthProblems(task))
	if reached := w.origins.Reached(); len(reached) > 0 {
		t.Errorf("reached: %v", reached)
	}
	if _, err := client(task).Request("GET", "http://origin.example/after"); err != nil {
		t.Fatal(err)
	}
	task.WaitForLog(t, "the request's", func(line string) bool {
		e, _ := parse(line)
		return e.URL == "http://origin.example/after"
	})
	for _, line := range task.Log() {
		if e, err := parse(line); err != nil || e.URL != "http://origin.example/after" {
			t.Errorf("a health check is in the log: %s", line)
		}
	}
}
