package nlb

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"testing"
)

func TestConnectionsTakeTurnsRoundRobin(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"), newBackend(t, "b"), newBackend(t, "c"))
	var order string
	for range 6 {
		order += r.dial(r.addr).target
	}
	if order != "abcabc" {
		t.Errorf("answered by %s, want abcabc", order)
	}
	if a := r.target("a"); a.Total != 2 || a.Open != 2 {
		t.Errorf("a: %d in all, %d open, want 2 and 2", a.Total, a.Open)
	}
}

// flows calls use with many connections of one client.
func flows(n int, use func(flow)) {
	for i := range n {
		use(flow{
			client:   netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), 40000),
			listener: netip.MustParseAddrPort("10.0.0.5:35201"),
			number:   uint64(i),
		})
	}
}

// made returns a balancer that has healthy targets nobody listens for.
func made(t *testing.T, c Config, zones ...string) *Balancer {
	t.Helper()
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	for i, zone := range zones {
		id := fmt.Sprintf("t%d", i)
		b.targets[id] = &target{Target: Target{ID: id, Zone: zone}, order: i, checked: Healthy, registered: true, routed: true}
	}
	return b
}

func TestFlowHashIsEvenOverManyConnectionsAndNotStrict(t *testing.T) {
	t.Parallel()
	c := Defaults()
	c.Zones = []Zone{{Name: "a"}, {Name: "b"}}
	b := made(t, c, "a", "a", "b", "b")
	count := map[string]int{}
	zones := map[string]int{}
	turns := 0
	last := ""
	flows(10_000, func(f flow) {
		b.mu.Lock()
		defer b.mu.Unlock()
		zone := b.resolve(f).Name
		zones[zone]++
		chosen := b.choose(zone, f).ID
		if chosen != last {
			turns++
		}
		last = chosen
		count[chosen]++
	})
	for id, n := range count {
		if n < 2200 || n > 2800 { // 7 standard deviations
			t.Errorf("%s got %d of 10,000", id, n)
		}
	}
	if len(count) != 4 || len(zones) != 2 {
		t.Errorf("used %v in %v", count, zones)
	}
	if turns < 7000 || turns > 8000 {
		t.Errorf("the target changed %d times in 10,000, want about 7,500", turns)
	}
}

func TestStickinessPinsAClientAndMovesOnlyThoseOfALostTarget(t *testing.T) {
	t.Parallel()
	c := Defaults()
	c.StickySourceIP = true
	b := made(t, c, "", "", "", "")
	pick := func(i int, port uint16) string {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.number++
		client := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		return b.choose("", flow{client: netip.AddrPortFrom(client, port), number: b.number}).ID
	}
	before := map[int]string{}
	count := map[string]int{}
	for i := range 1000 {
		before[i] = pick(i, 1000)
		count[before[i]]++
		if again := pick(i, 2000); again != before[i] {
			t.Fatalf("client %d: first %s, then %s", i, before[i], again)
		}
	}
	for id, n := range count {
		if n < 150 || n > 350 {
			t.Errorf("%s has %d of 1,000 clients", id, n)
		}
	}
	b.mu.Lock()
	b.targets["t1"].checked = Unhealthy
	b.mu.Unlock()
	for i, id := range before {
		now := pick(i, 3000)
		if (id == "t1") == (now == id) {
			t.Errorf("client %d: %s before t1 was lost, %s after", i, id, now)
		}
	}
}

func TestStickinessGoesByThePresentedAddress(t *testing.T) {
	t.Parallel()
	for _, sticky := range []bool{true, false} {
		c := quick()
		c.StickySourceIP = sticky
		c.ClientAddr = func(net.Conn) netip.AddrPort { return netip.MustParseAddrPort("198.51.100.7:1234") }
		r := newRig(t, c)
		r.add("", newBackend(t, "a"), newBackend(t, "b"), newBackend(t, "c"))
		if got := r.spread(r.addr, 9); (len(got) == 1) != sticky {
			t.Errorf("sticky %v: one client was answered by %v", sticky, got)
		}
	}
}

func twoZones(cross bool) Config {
	c := quick()
	c.Zones = []Zone{{Name: "a"}, {Name: "b"}}
	c.CrossZone = cross
	return c
}

func TestANodeUsesItsOwnZoneUnlessCrossZone(t *testing.T) {
	t.Parallel()
	for _, cross := range []bool{false, true} {
		r := newRig(t, twoZones(cross))
		r.add("a", newBackend(t, "in-a"))
		r.add("b", newBackend(t, "in-b"))
		nodeA := r.listen(func(l net.Listener) error { return r.ServeZone(l, "a") })
		want := map[string]int{"in-a": 4}
		if cross {
			want = map[string]int{"in-a": 2, "in-b": 2}
		}
		if got := r.spread(nodeA, 4); !maps.Equal(got, want) {
			t.Errorf("cross-zone %v: node a used %v, want %v", cross, got, want)
		}
		if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"in-a": 2, "in-b": 2}) {
			t.Errorf("cross-zone %v: by name: %v", cross, got)
		}
	}
}

func TestAZoneWithoutAHealthyTargetLeavesDNSButItsNodeFailsOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, twoZones(false))
	r.add("a", newBackend(t, "in-a"))
	r.add("b", newBackend(t, "in-b"))
	nodeB := r.listen(func(l net.Listener) error { return r.ServeZone(l, "b") })
	r.fail("in-b")
	if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"in-a": 4}) {
		t.Errorf("by name: %v, want zone a only", got)
	}
	if got := r.spread(nodeB, 2); !maps.Equal(got, map[string]int{"in-b": 2}) {
		t.Errorf("node b used %v, want its unhealthy target", got)
	}
	r.fail("in-a")
	if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"in-a": 2, "in-b": 2}) {
		t.Errorf("by name, no zone healthy: %v, want both zones", got)
	}
}

func TestNodesShareTheirTurnsAcrossZones(t *testing.T) {
	t.Parallel()
	r := newRig(t, twoZones(true))
	r.add("a", newBackend(t, "1"), newBackend(t, "2"))
	r.add("b", newBackend(t, "3"))
	var order string
	for range 6 {
		order += r.dial(r.addr).target
	}
	if order != "123123" {
		t.Errorf("answered by %s, want 123123", order)
	}
}

func TestUnhealthyTargetsGetNothingUntilAllAreUnhealthy(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick())
	r.add("", newBackend(t, "a"), newBackend(t, "b"))
	r.fail("a")
	if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"b": 4}) {
		t.Errorf("a unhealthy: %v, want b only", got)
	}
	r.fail("b")
	if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"a": 2, "b": 2}) {
		t.Errorf("both unhealthy: %v, want both to be used", got)
	}
	r.succeed("a")
	if got := r.spread(r.addr, 4); !maps.Equal(got, map[string]int{"a": 4}) {
		t.Errorf("a recovered: %v, want a only", got)
	}
}

func TestWithoutATargetTheClientIsReset(t *testing.T) {
	t.Parallel()
	c := quick()
	c.RegistrationDelay = patience * 10
	r := newRig(t, c)
	r.wantRefusal(r.addr)
	if err := r.Register(Target{ID: "a", Addr: newBackend(t, "a").addr}); err != nil {
		t.Fatal(err)
	}
	r.wantRefusal(r.addr) // an initial target is not one to fail open to
	if s := r.Stats(); s.NoTarget != 2 || s.Accepted != 2 {
		t.Errorf("stats %+v, want two accepted, both without target", s)
	}
}

func TestConnectionsComeFromTheNodesAddressAndNameIt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs 127.0.0.2 and 127.0.0.3, which only Linux has without configuration")
	}
	c := twoZones(false)
	c.Zones[0].Node = netip.MustParseAddr("127.0.0.2")
	c.Zones[1].Node = netip.MustParseAddr("127.0.0.3")
	r := newRig(t, c)
	a, b := newBackend(t, "in-a"), newBackend(t, "in-b")
	r.add("a", a)
	r.add("b", b)
	r.spread(r.addr, 2)
	port := netip.MustParseAddrPort(r.addr).Port()
	for k, node := range map[*backend]netip.Addr{a: c.Zones[0].Node, b: c.Zones[1].Node} {
		s := k.lastClient()
		if s.remote.Addr() != node {
			t.Errorf("%s was connected to from %v, want %v", k.name, s.remote, node)
		}
		if got, want := addrPort(s.header.DestinationAddr), netip.AddrPortFrom(node, port); got != want {
			t.Errorf("%s: the header's destination is %v, want %v", k.name, got, want)
		}
		if from := k.checked(1)[0].remote.Addr(); from != node {
			t.Errorf("%s was checked from %v, want %v", k.name, from, node)
		}
	}
}
