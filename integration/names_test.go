package integration

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"squidfleet/internal/rig"
)

// setBadNames has the name server lose packets or never answer about IPv6 for some names.
func setBadNames(d *rig.DNS) {
	lost := func(a *rig.Answer, question int64, _ bool) { a.Lost = question <= 2 }
	for name, change := range map[string]func(a *rig.Answer, question int64, ipv6 bool){
		"lost.example":       lost,
		"lost-again.example": lost,
		"no-ipv6.example":    func(a *rig.Answer, _ int64, ipv6 bool) { a.Lost = ipv6 },
	} {
		asked := map[bool]*atomic.Int64{true: new(atomic.Int64), false: new(atomic.Int64)}
		d.SetFunc(name, func(ipv6 bool) rig.Answer {
			answer := rig.Answer{Addresses: []netip.Addr{publicIPv4}}
			change(&answer, asked[ipv6].Add(1), ipv6)
			return answer
		})
	}
}

// nameIsServed asks for one of the names within what a bound is given, each time for the next one.
func nameIsServed(names ...string) func(*testing.T, *squidTask) string {
	var next atomic.Int64
	return func(t *testing.T, task *squidTask) string {
		name := names[int(next.Add(1))%len(names)]
		if got := code(within(t, task, "http://"+name+"/")); got != served {
			return fmt.Sprintf("%s: %d", name, got)
		}
		return ""
	}
}

// Of a name's addresses Squid knows the first 255. The others decide nothing, and nothing is
// connected to them.
func TestOfANamesAddressesTheFirst255Count(t *testing.T) {
	w := newWorld(t)
	addresses := func(private int) (out []string) {
		for i := range 300 {
			out = append(out, fmt.Sprintf("93.184.%d.%d", 200+i/250, 1+i%250))
		}
		out[0], out[private-1] = publicIPv4.String(), "10.9.8.7"
		return out
	}
	for _, number := range []int{2, 255, 256, 300} {
		w.names.Set(fmt.Sprintf("private-%d.example", number), addresses(number)...)
	}
	task := startTask(t, options(nil))
	for number, want := range map[int]int{2: refused, 255: refused, 256: served, 300: served} {
		name := fmt.Sprintf("private-%d.example", number)
		if got := code(client(task).Request("GET", "http://"+name+"/")); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
		if n := w.names.Asked()[name+"."]; n < 3 {
			t.Errorf("%s: %d questions: the answer was not too long for one packet", name, n)
		}
	}
	w.checkEver(t)
}
