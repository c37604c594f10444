package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/params"
	"squidfleet/proxyimage"
)

// The origin of a fleet on one machine, and a task's address towards it.
var (
	localOrigin = netip.MustParseAddrPort("127.77.0.80:8080")
	localEgress = netip.MustParseAddr("127.77.1.1")
)

// onOneMachine are the options of a task in a fleet on one machine.
func onOneMachine(t *testing.T) taskOptions {
	t.Helper()
	o := options(nil)
	p, err := params.Parse(o.Context)
	must.OK(t, err)
	config := proxyimage.Config(p, o.Network)
	config.LocalOrigin, config.OutgoingAddress = localOrigin, localEgress
	conf, err := config.Render()
	must.OK(t, err)
	return o.and(func(string) string { return conf })
}

// checkLocalOrigin is wrong if the local origin is not served from the right address, or if more
// than it is open.
func checkLocalOrigin(s subject) {
	var from string
	s.w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		from = r.RemoteAddr
		io.WriteString(rw, "hello")
	}))
	defer s.w.origins.SetHandler(http.HandlerFunc(s.w.answer))
	s.w.names.Set("localorigin.example", localOrigin.Addr().String())
	s.w.names.Set("localandpublic.example", localOrigin.Addr().String(), publicIPv4.String())
	for _, c := range []cell{
		{alice, "GET", "http://127.77.0.80:8080/", served},
		{alice, "GET", "http://origin.example/", served},
		{alice, "GET", "http://127.77.0.80/", refused},
		{alice, "GET", "http://127.77.0.81:8080/", refused},
		{alice, "GET", "http://127.0.0.1:8080/", refused},
		{alice, "GET", "http://169.254.169.254:8080/", refused},
		{alice, "GET", "http://origin.example:8080/", refused},
		{alice, "GET", "http://localorigin.example/", refused},
		{alice, "GET", "http://localorigin.example:8080/", refused},
		{alice, "GET", "http://localandpublic.example/", refused},
		{alice, "GET", "http://localandpublic.example:8080/", refused},
		{alice, "CONNECT", "127.77.0.80:443", refused},
	} {
		from = ""
		s.w.run(s.wrong, s.task, c)
		local := c.target == fmt.Sprintf("http://%s/", localOrigin)
		if strings.HasPrefix(from, localEgress.String()+":") != local {
			s.wrong("%s %s: came from %s", c.method, c.target, from)
		}
	}
}

func TestAFleetOnOneMachineOpensItsOriginAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.opened = []netip.AddrPort{localOrigin}
	o := onOneMachine(t)
	task := startTask(t, o)
	checkLocalOrigin(subject{t: t, w: w, wrong: t.Errorf, task: task})
	task.Kill()
	// Each line that only such a fleet has is needed.
	others := linesOf(t, options(nil))
	lines := slices.DeleteFunc(linesOf(t, o), func(line string) bool { return slices.Contains(others, line) })
	if len(lines) != 5 {
		t.Errorf("%d lines, want 5", len(lines))
	}
	eachIsNeeded(t, w, o, lines, checkLocalOrigin)
}
