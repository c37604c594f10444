// Package integration tests a real Squid: the staged files, the built entrypoint and Debian's
// Squid, in a network namespace. The tests need root.
package integration

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage"
	"squidfleet/squid"
)

func TestMain(m *testing.M) {
	rig.Isolate()
	// Tests in parallel wait for timeouts, most of the time.
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}
	var err error
	if scratch, err = os.MkdirTemp("", "squidfleet-scratch-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

var scratch string // a directory until all tests are over

// The addresses and names of all tests.
var (
	insider      = netip.MustParseAddr("198.51.100.7")   // a client whose address is allowed
	insiderIPv6  = netip.MustParseAddr("2600:1700:1::7") // another
	outsider     = netip.MustParseAddr("198.51.101.7")   // a client whose address is not
	loadBalancer = netip.MustParseAddr("10.0.0.5")       // one of the load balancer's addresses
	neighbour    = netip.MustParseAddr("10.0.200.9")     // in the VPC, not the load balancer's
	password     = "correct horse battery staple"
	publicIPv4   = netip.MustParseAddr("93.184.215.14")        // a destination
	publicIPv6   = netip.MustParseAddr("2606:2800:21f:cb07::") // another
	otherPublic  = netip.MustParseAddr("151.101.1.69")         // a third
	network      = proxyimage.Network{
		LoadBalancerCidrs: prefixes("10.0.0.0/28", "10.0.0.16/28"), VpcCidrs: prefixes("10.0.0.0/16"),
	}
	// originOf is the target of a request to the usual destination, by method.
	originOf = map[string]string{"GET": "http://origin.example/", "CONNECT": "origin.example:443"}
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// mode is a way to ask for credentials and to check them: parameters.
type mode map[string]any

// is reports whether clients are asked for this, and our helper checks it.
func (m mode) is(auth squid.Auth) bool { return m["auth"] == string(auth) && m["digest"] == "fleet" }

func newMode(auth, digest string) mode {
	return mode{"auth": auth, "digest": digest, "allowPlaintextBasic": true}
}

// with returns further parameters together with those of the mode.
func (m mode) with(context map[string]any) map[string]any {
	all := maps.Clone(context)
	maps.Copy(all, m)
	return all
}

// The modes. In "any", alice uses Basic and bob Digest.
var (
	digestModes = []mode{newMode("digest", "fleet"), newMode("digest", "squid")}
	modes       = append(slices.Clone(digestModes),
		newMode("basic", "fleet"), newMode("any", "fleet"), newMode("none", "fleet"))
)

func (m mode) String() string { return fmt.Sprintf("auth=%s,digest=%s", m["auth"], m["digest"]) }

// inModes runs a test in each of some modes, as inShares does.
func inModes(t *testing.T, modes []mode, test func(t *testing.T, m mode)) {
	var names []string
	for _, m := range modes {
		names = append(names, m.String())
	}
	inShares(t, names, func(t *testing.T, share int) { test(t, modes[share]) })
}

// shareOf is set in a copy of this program that runs a share of a test: the share's number.
const shareOf = "SQUIDFLEET_TEST_SHARE"

// inShares runs the shares of a test at the same time, because most of them mostly wait. A copy of
// this program runs each. Its namespaces have the same addresses and ports once more.
func inShares(t *testing.T, names []string, test func(t *testing.T, share int)) {
	if text := os.Getenv(shareOf); text != "" {
		share, err := strconv.Atoi(text)
		must.OK(t, err)
		test(t, share)
		return
	}
	for share, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			again := rig.Apart(t.Context(), "-test.v", "-test.run", "^"+strings.Split(t.Name(), "/")[0]+"$")
			again.Env = append(again.Env, fmt.Sprint(shareOf, "=", share))
			out, err := again.CombinedOutput()
			if t.Log(string(out)); err != nil || !strings.Contains(string(out), "--- PASS") {
				t.Errorf("the copy: %v", err)
			}
		})
	}
}

// options are a task's, with the test's parameters on top of the defaults.
func options(context map[string]any) taskOptions {
	all := map[string]any{"clientCidrs": "198.51.100.0/24,2600:1700:1::/48", "fleetSize": 1}
	if context["auth"] != "none" {
		all["users"] = "alice,bob"
	}
	maps.Copy(all, context)
	passwords := map[string]string{"alice": password, "bob": "another password"}
	return taskOptions{Context: all, Network: network, Passwords: passwords}
}

// client is alice, at an allowed address, behind the load balancer.
func client(task *squidTask) rig.Client {
	c := rig.Client{
		Task: task.Addr, From: loadBalancer, Header: rig.ProxyHeader(insider), User: "alice", Password: password,
	}
	if auth := task.Params.Auth; auth != squid.AuthDigest {
		c.Algorithm = "Basic" // where nothing is asked for, too
	}
	return c
}

// digested is a client that prefers Digest.
func digested(task *squidTask, c rig.Client) rig.Client {
	if task.Params.Auth.Digest() {
		c.Algorithm = ""
	}
	return c
}

func anonymous(task *squidTask) rig.Client {
	c := client(task)
	c.User = ""
	return c
}
