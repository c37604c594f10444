package digest

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

func checkOnce(v *Verifier, a attempt) func() {
	request := a.request()
	header := append([]byte(nil), request.Header...)
	return func() {
		request.Header = append(request.Header[:0], header...)
		v.Verify(request)
	}
}

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
			check := checkOnce(v, a)
			check()
			if n := testing.AllocsPerRun(100, check); n != 0 {
				t.Errorf("%v %s: %v allocations", alg, name, n)
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	v, _, a := newVerifier(b, nil)
	for _, a.alg = range []Algorithm{MD5, SHA256} {
		b.Run(a.alg.String(), func(b *testing.B) {
			check := checkOnce(v, a)
			b.ReportAllocs()
			for b.Loop() {
				check()
			}
		})
	}
}

// repeat is an endless input of one line.
type repeat struct {
	line string
	left int
}

func (r *repeat) Read(b []byte) (n int, err error) {
	for r.left > 0 && n+len(r.line) <= len(b) {
		n += copy(b[n:], r.line)
		r.left--
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// BenchmarkServe is one line in, one out, without the pipe.
func BenchmarkServe(b *testing.B) {
	for name, client := range map[string]string{"IPv4": "198.51.100.7", "IPv6": "2001:db8::7"} {
		b.Run(name, func(b *testing.B) {
			v, _, a := newVerifier(b, nil)
			a.client = netip.MustParseAddr(client)
			a.nonce = nonceFor(b, v, a.client)
			b.ReportAllocs()
			must.OK(b, Serve(b.Context(), &repeat{a.line(12345), b.N}, io.Discard, v))
		})
	}
}
