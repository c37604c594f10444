package integration

import (
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

// slowStep puts a step that takes three seconds between the access rules' look at a name's addresses and the connection, and lets Squid remember addresses for two seconds only: the window in which
// a name may change its address, held open.
func slowStep(edit func(string) string) rig.TaskOptions {
	o := options(nil)
	const helper = "slow.sh"
	o.Prepare = func(dir string) error {
		return os.WriteFile(filepath.Join(dir, helper), []byte("#!/bin/sh\nwhile read -r channel rest; do (sleep 3; echo \"$channel ERR\") & done\n"), 0o755)
	}
	o.Edit = func(conf string) string {
		conf = strings.Replace(conf, "http_access deny forbidden\n", "http_access deny forbidden\n"+
			"external_acl_type slow ttl=0 negative_ttl=0 cache=0 concurrency=100 %URI ./"+helper+"\nacl slow external slow\nacl slow_names dstdomain .slow.example\nhttp_access deny slow_names slow\n", 1)
		return edit(conf + "negative_dns_ttl 2 seconds\npositive_dns_ttl 2 seconds\n")
	}
	return o
}

// rebindingProblems says which changes of a name's address, after the access rules have seen it, end in a connection to a forbidden destination. The task must have a slow step.
func rebindingProblems(w *world, task *rig.Task) (problems []string) {
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
				w.names.SetFunc(name, func(rig.Question) rig.Answer {
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
				first.Go(func() { client(task).Request(method, target) }) // whatever it is answered: what counts is what was reached
				time.Sleep(500 * time.Millisecond)                        // by now the rules have seen the public address
				switched.Store(true)
				if refreshed {
					// Somebody else's request has Squid learn the new address in the meantime; it is refused itself.
					time.Sleep(1700 * time.Millisecond)
					if response, err := client(task).Request("GET", "http://"+name+"/"); err != nil || response.StatusCode != refused {
						wrong("%s: the second request got %v, %v", name, response, err)
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
	task := rig.StartTask(t, slowStep(func(conf string) string { return conf }))
	for _, problem := range rebindingProblems(w, task) {
		t.Error(problem)
	}
}

// A name with a different answer to each query, asked as often and as fast as a client can.
func TestAlternatingAnswersNeverReachAForbiddenDestination(t *testing.T) {
	w := newWorld(t)
	var queries atomic.Int64
	w.names.SetFunc("flip.example", func(rig.Question) rig.Answer {
		to := publicIPv4
		if queries.Add(1)/2%2 == 1 {
			to = netip.MustParseAddr("169.254.169.254")
		}
		return rig.Answer{TTL: 0, Addresses: []netip.Addr{to}}
	})
	o := options(nil)
	o.Edit = func(conf string) string { return conf + "negative_dns_ttl 1 second\npositive_dns_ttl 1 second\n" }
	task := rig.StartTask(t, o)
	outcomes := map[int]int{}
	for deadline := time.Now().Add(6 * time.Second); time.Now().Before(deadline); {
		response, err := client(task).Request("GET", "http://flip.example/")
		if err != nil {
			t.Fatal(err)
		}
		outcomes[response.StatusCode]++
	}
	for to := range w.origins.Reached() {
		if !isPublic(to) {
			t.Errorf("%s was reached", to)
		}
	}
	t.Logf("answers by status: %v, %d queries", outcomes, queries.Load())
	if outcomes[served] == 0 || outcomes[refused] == 0 {
		t.Errorf("the name did not change in both directions: %v", outcomes)
	}
}
