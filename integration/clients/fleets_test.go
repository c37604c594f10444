package clients

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"squidfleet/internal/local"
	"squidfleet/internal/must"
	"squidfleet/internal/relay"
	"squidfleet/params"
	"squidfleet/squid"
)

// password has characters that a URL needs escaped.
const password = "correct horse: 100%+1/2@"

type way struct {
	name string
	auth squid.Auth
	port int
	tls  bool
}

// ways are the table's columns, in their order.
var ways = []way{
	{"any over TLS", squid.AuthAny, 35210, true},
	{"basic inside", squid.AuthBasic, 35220, false},
	{"none inside", squid.AuthNone, 35230, false},
	{"digest inside", squid.AuthDigest, 35240, false},
}

// proxy is the proxy's URL, with all but letters and digits of the password escaped.
func (w way) proxy() string {
	scheme, user := "http", ""
	if w.tls {
		scheme = "https"
	}
	if w.auth.Passwords() {
		user = "alice:" + strings.ReplaceAll(url.QueryEscape(password), "+", "%20") + "@"
	}
	return fmt.Sprintf("%s://%slocalhost:%d", scheme, user, w.port)
}

// startFleet starts a fleet of three addresses.
func startFleet(t *testing.T, w way) *local.Fleet {
	t.Helper()
	// Each fleet's tasks have a port of their own, because all take their addresses from one range.
	values := map[string]any{"auth": string(w.auth), "listenerPort": w.port,
		"drainTimeout": "10m"} // 20 s at this speed: a client on a busy machine takes its time
	if w.auth.Basic() {
		values["allowPlaintextBasic"] = "true"
	}
	if w.auth.Passwords() {
		values["users"] = "alice"
	}
	p, err := params.Parse(values)
	must.OK(t, err)
	o := local.Options{Params: p, Addresses: 3, Zones: 1, Port: w.port, TLS: w.tls, Timing: local.AWS(p).Faster(30)}
	for _, user := range p.Users {
		o.Passwords = append(o.Passwords, squid.Credential{User: user, Password: password})
	}
	f, err := local.Start(t.Context(), o)
	must.OK(t, err)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func startRelay(t *testing.T, f *local.Fleet) (proxy string) {
	t.Helper()
	named := relay.Fleet{
		Scheme: "http", Host: "127.0.0.1", Port: int(f.Endpoint.Port()), User: "alice", Password: password,
	}
	s, err := relay.Listen("127.0.0.1:0", relay.Options{MaxConnections: 1000}, []relay.Fleet{named})
	must.OK(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr().String()
}

// replace replaces the tasks of all fleets again and again until stop is called, which returns how
// often that was done.
func replace(t *testing.T, fleets []*local.Fleet) (stop func() (times int)) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		times := 0
		for ; ctx.Err() == nil; times++ {
			var all sync.WaitGroup
			for _, f := range fleets {
				all.Go(func() {
					if _, err := f.Rotate(ctx); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		done <- times
	}()
	return func() int {
		cancel()
		return <-done
	}
}
