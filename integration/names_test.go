package integration

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
		d.SetFunc(name, func(q rig.Question) rig.Answer {
			answer := rig.Answer{TTL: 60, Addresses: []netip.Addr{publicIPv4}}
			change(&answer, asked[q.IPv6].Add(1), q.IPv6)
			return answer
		})
	}
}

// nameIsServed asks for one of the names within what a bound is given, each time for the next one.
func nameIsServed(names ...string) func(*testing.T, *squidTask) string {
	var next atomic.Int64
	return func(t *testing.T, task *squidTask) string {
		name := names[int(next.Add(1))%len(names)]
		conn := authenticated(t, task, "http://"+name+"/")
		conn.SetReadDeadline(time.Now().Add(soon))
		status := make([]byte, len("HTTP/1.1 200"))
		if _, err := conn.Read(status); err != nil || string(status) != "HTTP/1.1 200" {
			return fmt.Sprintf("%s: %q, %v", name, status, err)
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
	report(t, w.everProblems(t))
}

// slowStep puts three seconds between the access rules' check of the addresses and the connection,
// in which a name may change its address, and lets Squid remember addresses for two seconds only.
func slowStep(edit func(string) string) taskOptions {
	o := options(nil)
	const helper = "slow.sh"
	o.Prepare = func(dir string) error {
		const script = `while read -r channel rest; do (sleep 3; echo "$channel ERR") & done`
		return os.WriteFile(filepath.Join(dir, helper), []byte("#!/bin/sh\n"+script+"\n"), 0o755)
	}
	o.Edit = func(conf string) string {
		const rule = "http_access deny forbidden\n"
		conf = strings.Replace(conf, rule, rule+
			"external_acl_type slow ttl=0 negative_ttl=0 cache=0 concurrency=100 %URI ./"+helper+"\n"+
			"acl slow external slow\nacl slow_names dstdomain .slow.example\nhttp_access deny slow_names slow\n", 1)
		return edit(conf + "negative_dns_ttl 2 seconds\npositive_dns_ttl 2 seconds\n")
	}
	return o
}

// rebindingProblems are changes of a name's address after the access rules' check that end in a
// connection to a forbidden destination. The task must have a slow step.
func rebindingProblems(w *world, task *squidTask) (problems []string) {
	w.origins.Forget()
	var mu sync.Mutex
	wrong := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		problems = append(problems, fmt.Sprintf(format, args...))
	}
	var all sync.WaitGroup
	for _, method := range []string{"GET", "CONNECT"} {
		for _, refreshed := range []bool{false, true} {
			all.Go(func() {
				name := fmt.Sprintf("%s-%v.slow.example", strings.ToLower(method), refreshed)
				var switched atomic.Bool
				asked, ask := context.WithTimeout(context.Background(), 10*time.Second)
				defer ask()
				w.names.SetFunc(name, func(rig.Question) rig.Answer {
					ask()
					if switched.Load() {
						return rig.Answer{TTL: 2, Addresses: []netip.Addr{netip.MustParseAddr("169.254.169.254")}}
					}
					return rig.Answer{TTL: 2, Addresses: []netip.Addr{publicIPv4}}
				})
				target := name + ":443"
				if method == "GET" {
					target = "http://" + name + "/"
				}
				var first sync.WaitGroup
				first.Go(func() {
					response, err := client(task).Request(method, target)
					want := map[string]string{"GET": ofType("destination_ip_prohibited"), "CONNECT": noStatus}[method]
					if err != nil || response.StatusCode < 500 || proxyStatus(response.Header) != want {
						wrong("%s: %+v, %v, want Proxy-Status %s", target, response, err, want)
					}
				})
				<-asked.Done()
				time.Sleep(500 * time.Millisecond) // by now the rules have checked the public address
				switched.Store(true)
				if refreshed {
					// Another request makes Squid look up the new address meanwhile, and is
					// refused.
					time.Sleep(1700 * time.Millisecond)
					if got := code(client(task).Request("GET", "http://"+name+"/")); got != refused {
						wrong("%s: the second request got %d", name, got)
					}
				}
				first.Wait()
			})
		}
	}
	all.Wait()
	for to, count := range w.origins.Reached() {
		if !isPublic(to) {
			wrong("%s was reached %d times", to, count)
		}
	}
	return problems
}

func TestANameThatChangesItsAddressAfterTheRulesHaveSeenItGoesNowhere(t *testing.T) {
	w := newWorld(t)
	task := startTask(t, slowStep(asItIs))
	report(t, rebindingProblems(w, task))
}
