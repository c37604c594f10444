package digest

import (
	"bytes"
	"strings"
	"testing"
)

// The garbage of a busy proxy's helper is its latency.
func TestChecksDoNotAllocate(t *testing.T) {
	v, _, good := newVerifier(t, func(c *Config) { c.Keys = mustKeys(t, testKey+" "+otherTestKey) })
	for _, alg := range []Algorithm{MD5, SHA256} {
		for name, change := range map[string]func(*attempt){
			"accepted":       func(*attempt) {},
			"no credentials": rewritten(".*", ""),
			"foreign nonce":  func(a *attempt) { a.nonce = strings.Repeat("A", nonceText) },
			"unknown user":   func(a *attempt) { a.user = "nobody" },
		} {
			a := good
			a.alg = alg
			change(&a)
			request := a.request()
			header := bytes.Clone(request.Header)
			check := func() {
				request.Header = append(request.Header[:0], header...)
				v.Verify(request)
			}
			check()
			if n := testing.AllocsPerRun(100, check); n != 0 {
				t.Errorf("%v %s: %v allocations", alg, name, n)
			}
		}
	}
}
