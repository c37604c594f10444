package relay

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/internal/relay"
)

// A session keeps its address for all its connections. When the address is rotated, it goes on with
// the new value, and nobody else's changes.
func TestSessionsKeepTheirAddresses(t *testing.T) {
	const sessions, connections = 100, 20
	o := startOrigin(t)
	f := startFleet(t, 3, 35300, o.address, nil)
	at := startRelay(t, relay.Options{}, f.named("one"))
	seen := make([][]string, sessions)
	use := func(times int) {
		var all sync.WaitGroup
		turn := make(chan int)
		for range 8 {
			all.Go(func() {
				for i := range turn {
					c := client(at, fmt.Sprint("cart-", i), o)
					scheme := []string{"http://", "https://"}[i%2]
					got, err := egress(c, scheme+o.address.String())
					c.CloseIdleConnections()
					if err != nil {
						t.Errorf("session %d: %v", i, err)
					}
					seen[i] = append(seen[i], got)
				}
			})
		}
		for range times {
			for i := range sessions {
				turn <- i
			}
		}
		close(turn)
		all.Wait()
	}
	use(1)
	before := map[string]int{}
	for i := range sessions {
		before[seen[i][0]]++
	}
	if len(before) != 3 {
		t.Fatalf("%v", before)
	}
	for address, n := range before {
		if n < 15 {
			t.Errorf("%s has %d of %d sessions", address, n, sessions)
		}
	}
	// The connections go on while one address is rotated.
	rotated := make(chan error, 1)
	old := f.Addresses()[1].Tasks[0].Address.String()
	go func() {
		_, err := f.Rotate(context.Background(), 2)
		rotated <- err
	}()
	use(connections - 2)
	must.OK(t, <-rotated)
	use(1)
	fresh := f.Addresses()[1].Tasks[0].Address.String()
	for i, all := range seen {
		last := all[len(all)-1]
		stays := !slices.ContainsFunc(all, func(a string) bool { return a != all[0] })
		// For the load balancer's lag, old and new mix.
		others := slices.ContainsFunc(all, func(a string) bool { return a != old && a != fresh })
		moves := all[0] == old && last == fresh && !others
		if !moves && (all[0] == old || !stays) {
			t.Errorf("session %d: %q; address 2 went from %s to %s", i, all, old, fresh)
		}
	}
}

// Ten thousand requests while each address is rotated twice: none fails.
func TestNoRequestFailsWhileAddressesRotate(t *testing.T) {
	const requests = 10_000
	o := startOrigin(t)
	f := startFleet(t, 3, 35310, o.address, nil)
	var troubles atomic.Int64
	at := startRelay(t, relay.Options{Report: func(e relay.Event) {
		if e.Kind == relay.Trouble {
			troubles.Add(1)
			t.Logf("%+v", e)
		}
	}}, f.named("one"))
	rotated := make(chan error, 1)
	var over atomic.Bool
	go func() {
		var err error
		for i := 0; i < 6 && err == nil; i++ {
			_, err = f.Rotate(context.Background(), 1+i%3)
		}
		over.Store(true)
		rotated <- err
	}()
	var done, failed atomic.Int64
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			session := ""
			if i%2 == 0 {
				session = fmt.Sprint("cart-", i)
			}
			c := client(at, session, o)
			for n := 0; !over.Load() || done.Load() < requests; n++ {
				method, target := "GET", []string{"http://", "https://"}[i/2%2]+o.address.String()
				if n%10 == 0 {
					c.CloseIdleConnections()
				}
				var err error
				if n%7 == 3 {
					method = "POST"
					c.CloseIdleConnections() // Nobody sends a POST again on another connection.
					response, wrong := c.Post(target, "text/plain", strings.NewReader(strings.Repeat("x", 10_000)))
					if err = wrong; err == nil {
						if response.StatusCode != 200 {
							err = fmt.Errorf("%s", response.Status)
						}
						response.Body.Close()
					}
				} else {
					_, err = egress(c, target)
				}
				if done.Add(1); err != nil && failed.Add(1) < 10 {
					t.Errorf("%s %s: %v", method, target, err)
				}
			}
		})
	}
	all.Wait()
	must.OK(t, <-rotated)
	t.Logf("%d requests, %d failed, %d troubles", done.Load(), failed.Load(), troubles.Load())
	if failed.Load() > 0 || done.Load() < requests {
		t.Errorf("%d of %d requests failed", failed.Load(), done.Load())
	}
}

// Two fleets serve as one; a session may say which. The end of one is felt by its own sessions
// only, and with its return all is as it was.
func TestTwoFleetsBehindOneRelay(t *testing.T) {
	o := startOrigin(t)
	first, second := startFleet(t, 2, 35320, o.address, nil), startFleet(t, 2, 35330, o.address, nil)
	at := startRelay(t, relay.Options{}, first.named("first"), second.named("second"))
	addresses := func(f *fleet) (all []string) {
		for _, a := range f.Addresses() {
			all = append(all, a.Tasks[0].Address.String())
		}
		return all
	}
	// egressOf asks over a new connection, as a session or none, in both schemes.
	egressOf := func(session string) (string, error) {
		var got string
		for _, scheme := range []string{"http://", "https://"} {
			c := client(at, session, o)
			defer c.CloseIdleConnections()
			text, err := egress(c, scheme+o.address.String())
			if err != nil {
				return "", err
			}
			got = text
		}
		return got, nil
	}
	limited := func(limit string, f *fleet) {
		t.Helper()
		for i := range 20 {
			got, err := egressOf(fmt.Sprintf("cart-%d.%s", i, limit))
			if err != nil || !slices.Contains(addresses(f), got) {
				t.Errorf("%s: %q, %v", limit, got, err)
			}
		}
	}
	limited("first", first)
	limited("second", second)
	all := map[string]bool{}
	for range 40 {
		got, err := egressOf("")
		must.OK(t, err)
		all[got] = true
	}
	if len(all) != 4 {
		t.Errorf("without a session: %v", all)
	}
	must.OK(t, second.Close())
	for i := range 10 {
		if got, err := egressOf(""); err != nil || !slices.Contains(addresses(first), got) {
			t.Errorf("without the second fleet: %q, %v", got, err)
		}
		if got, err := egressOf(fmt.Sprint("cart-", i, ".second")); err == nil {
			t.Errorf("a session of the second fleet: %q", got)
		}
	}
	second.start(t)
	limited("second", second)
}

// Basic over TLS is for the relay as Digest is.
func TestAFleetWithBasicOverTLS(t *testing.T) {
	o := startOrigin(t)
	f := startFleet(t, 2, 35350, o.address, map[string]any{"auth": "basic", "allowPlaintextBasic": true})
	pem, err := os.ReadFile(f.CA)
	must.OK(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	named := f.named("")
	named.Scheme = "https"
	at := startRelay(t, relay.Options{Roots: roots}, named)
	for _, session := range []string{"", "cart-1", "cart-2"} {
		for _, scheme := range []string{"http://", "https://"} {
			if _, err := egress(client(at, session, o), scheme+o.address.String()); err != nil {
				t.Error(err)
			}
		}
	}
}

// On an address that other machines reach, only those that are allowed get in.
func TestOnlyAllowedClientsGetIn(t *testing.T) {
	listen(t, "0.0.0.0:35360", relay.Options{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		relay.Fleet{Scheme: "http", Host: "127.0.0.1", Port: 1})
	for from, want := range map[string]bool{"127.0.0.1": true, "10.1.2.3": true, "11.1.2.3": false} {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
		response, err := c.Get("http://198.51.100.1:35360/healthz")
		if err == nil {
			response.Body.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", from, err)
		}
	}
}
