package digest

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// What real clients send is accepted as it is, and for nothing but what it was sent for.
// The file has Squid's lines to the helper. The integration tests write it with -capture.
func TestCapturesOfRealClients(t *testing.T) {
	data, err := os.ReadFile("testdata/captures.json")
	must.OK(t, err)
	var file struct {
		Key, User, Password string
		Captures            []struct {
			Client string
			Time   int64 // Unix seconds
			Line   string
		}
	}
	must.OK(t, json.Unmarshal(data, &file))
	forms := map[string]int{}
	for _, c := range file.Captures {
		v, clock, _ := newVerifier(t, func(config *Config) {
			config.Users, config.Keys = []User{{Name: file.User, Password: file.Password}}, mustKeys(t, file.Key)
		})
		clock.now = time.Unix(c.Time, 0)
		verify := func(what string, change func(*Request), wanted ...Reason) {
			_, fields, _ := cutChannel([]byte(c.Line))
			var r Request
			if !parseLine(fields, &r) {
				t.Fatalf("%s: %s", c.Client, c.Line)
			}
			change(&r)
			if got := v.Verify(&r).Reason; !slices.Contains(wanted, got) {
				t.Errorf("%s, %s: %v, want one of %v\n%s", c.Client, what, got, wanted, c.Line)
			}
		}
		var method, target string
		verify("read", func(r *Request) { method, target, r.Header = string(r.Method), string(r.Target), nil },
			NoCredentials)
		forms[c.Client+" "+method]++
		asIs, elsewhere := Accepted, NonceForeign
		if c.Client == "requests" && strings.Contains(target, ";") { // signed for another target
			asIs, elsewhere = TargetMismatch, TargetMismatch
		}
		verify("as it is", func(*Request) {}, asIs)
		verify("with PUT", func(r *Request) { r.Method = []byte("PUT") }, WrongPassword)
		// Without its target a uri with unescaped quotes cannot be read.
		verify("for another target", func(r *Request) { r.Target = append(bytes.Clone(r.Target), '0') },
			TargetMismatch, WrongPassword, HeaderMalformed)
		verify("from another address", func(r *Request) { r.Client = netip.MustParseAddr("198.51.100.8") }, elsewhere)
	}
	for _, form := range []string{
		"curl GET", "curl CONNECT", "Chromium GET", "Chromium CONNECT", "Go GET",
		"Java GET", "Java CONNECT", "requests GET", "urllib GET",
	} {
		if forms[form] == 0 {
			t.Errorf("no capture of %s in %v", form, forms)
		}
	}
}
