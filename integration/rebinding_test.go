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
	"time"

	"squidfleet/internal/rig"
)

// slowStep puts three seconds between the access rules' check of the addresses and the connection,
// in which a name may change its address, and lets Squid remember addresses for two seconds only.
func slowStep(o taskOptions) taskOptions {
	const helper = "slow.sh"
	o.Prepare = func(dir string) error {
		const script = `while read -r channel rest; do (sleep 3; echo "$channel ERR") & done`
		return os.WriteFile(filepath.Join(dir, helper), []byte("#!/bin/sh\n"+script+"\n"), 0o755)
	}
	return o.and(func(conf string) string {
		const rule = "http_access deny forbidden\n"
		return strings.Replace(conf, rule, rule+
			"external_acl_type slow ttl=0 negative_ttl=0 cache=0 concurrency=100 %URI ./"+helper+"\n"+
			"acl slow external slow\nacl slow_names dstdomain .slow.example\nhttp_access deny slow_names slow\n", 1) +
			"negative_dns_ttl 2 seconds\npositive_dns_ttl 2 seconds\n"
	})
}

// tryRebinding changes a name's address after the access rules' check: nothing may connect to a
// forbidden destination.
func tryRebinding(s subject) {
	task := startTask(s.t, slowStep(s.options))
	defer task.Kill()
	s.w.origins.Forget()
	var all sync.WaitGroup
	for _, method := range []string{"GET", "CONNECT"} {
		for _, refreshed := range []bool{false, true} {
			all.Go(func() {
				name := fmt.Sprintf("%s-%v.slow.example", strings.ToLower(method), refreshed)
				var switched atomic.Bool
				asked, ask := context.WithTimeout(context.Background(), 10*time.Second)
				defer ask()
				s.w.names.SetFunc(name, func(bool) rig.Answer {
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
						s.wrong("%s: %+v, %v, want Proxy-Status %s", target, response, err, want)
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
						s.wrong("%s: the second request got %d", name, got)
					}
				}
				first.Wait()
			})
		}
	}
	all.Wait()
	for to, count := range s.w.origins.Reached() {
		if !isPublic(to) {
			s.wrong("%s was reached %d times", to, count)
		}
	}
}
