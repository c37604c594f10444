package integration

import (
	"fmt"
	"net/netip"
	"testing"

	"squidfleet/internal/rig"
)

// healthProblems says whether the port of the container's own health check answers as it should, and opens nothing.
func healthProblems(task *rig.Task) (problems []string) {
	loopback := netip.MustParseAddr("127.0.0.1")
	port := netip.AddrPortFrom(loopback, task.Addr.Port()+1)
	check := rig.Client{Task: port, From: loopback, Header: rig.ProxyHeader(loopback), User: "alice", Password: password}
	for _, c := range []struct {
		name   string
		change func(c *rig.Client)
		status int
	}{
		{"with credentials", func(*rig.Client) {}, refused},
		{"with credentials and a client's address", func(c *rig.Client) { c.Header = rig.ProxyHeader(insider) }, refused},
		{"without credentials", func(c *rig.Client) { c.User = "" }, 407},
		{"with a wrong password", func(c *rig.Client) { c.Password = "wrong password" }, 407},
		{"from elsewhere", func(c *rig.Client) { c.From = neighbour }, cutOff},
		{"without a PROXY header", func(c *rig.Client) { c.Header = nil }, cutOff},
	} {
		for _, method := range []string{"GET", "CONNECT"} {
			who := check
			c.change(&who)
			status := cutOff
			response, err := who.Request(method, map[string]string{"GET": "http://origin.example/", "CONNECT": "origin.example:443"}[method])
			if err == nil {
				status = response.StatusCode
			}
			if status != c.status {
				problems = append(problems, fmt.Sprintf("health port, %s %s: status %d, want %d (%v)", method, c.name, status, c.status, err))
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
	task := rig.StartTask(t, options(mode))
	for _, problem := range healthProblems(task) {
		t.Error(problem)
	}
	if reached := w.origins.Reached(); len(reached) > 0 {
		t.Errorf("reached: %v", reached)
	}
	if _, err := client(task).Request("GET", "http://origin.example/after"); err != nil {
		t.Fatal(err)
	}
	task.WaitForLog(t, "the request's", func(line string) bool { e, _ := parse(line); return e.URL == "http://origin.example/after" })
	for _, line := range task.Log() {
		if e, err := parse(line); err != nil || e.URL != "http://origin.example/after" {
			t.Errorf("a health check is in the log: %s", line)
		}
	}
}
