package digest

import (
	"io"
	"net/netip"
	"strings"
	"testing"
)

func checkOnce(v *Verifier, a attempt) func() Reason {
	c := v.newChecker()
	request := a.request()
	header := append([]byte(nil), request.Header...)
	var result Result
	return func() Reason {
		request.Header = append(request.Header[:0], header...)
		c.check(request, &result)
		return result.Reason
	}
}

// The garbage of a busy proxy's helper is its latency.
func TestChecksDoNotAllocate(t *testing.T) {
	v, _ := newVerifier(t, func(c *Config) {
		c.Keys = mustKeys(t, testKey+" "+otherTestKey)
		c.Realm = testRealm
	})
	for _, alg := range []Algorithm{MD5, SHA256} {
		for name, change := range map[string]func(*attempt){
			"accepted":       func(*attempt) {},
			"no credentials": func(a *attempt) { a.rewrite = replace(t, ".*", "") },
			"foreign nonce":  func(a *attempt) { a.nonce = strings.Repeat("A", nonceText) },
			"unknown user":   func(a *attempt) { a.user = "nobody" },
		} {
			a := newAttempt(nonceFor(t, v, testClient))
			a.alg = alg
			change(&a)
			check := checkOnce(v, a)
			check()
			if n := testing.AllocsPerRun(100, func() { check() }); n != 0 {
				t.Errorf("%v %s: %v allocations", alg, name, n)
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, alg := range []Algorithm{MD5, SHA256} {
		for name, change := range map[string]func(*attempt){
			"accepted": func(*attempt) {},
			"missing":  func(a *attempt) { a.rewrite = func(string) string { return "" } },
		} {
			b.Run(alg.String()+"/"+name, func(b *testing.B) {
				v, _ := newVerifier(b, nil)
				a := newAttempt(nonceFor(b, v, testClient))
				a.alg = alg
				change(&a)
				check := checkOnce(v, a)
				b.ReportAllocs()
				for b.Loop() {
					check()
				}
			})
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	v, _ := newVerifier(b, nil)
	a := newAttempt(nonceFor(b, v, testClient))
	header := []byte(a.header())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := Request{Client: testClient, Method: []byte("GET"), Target: []byte(a.target)}
		for pb.Next() {
			r.Header = append(r.Header[:0], header...)
			if got := v.Verify(&r); got.Reason != Accepted {
				b.Error(got.Reason)
				return
			}
		}
	})
}

// repeat is an endless input of one line.
type repeat struct {
	line string
	left int
}

func (r *repeat) Read(b []byte) (int, error) {
	n := 0
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
			v, _ := newVerifier(b, nil)
			a := newAttempt("")
			a.client = netip.MustParseAddr(client)
			a.nonce = nonceFor(b, v, a.client)
			b.ReportAllocs()
			if err := Serve(b.Context(), &repeat{a.line(12345), b.N}, io.Discard, v); err != nil {
				b.Fatal(err)
			}
		})
	}
}
