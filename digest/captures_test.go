package digest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"
)

// What real clients send is accepted as it is, and for nothing but what it was sent for.
// The file has Squid's lines to the helper. The integration tests write it with -capture.
func TestCapturesOfRealClients(t *testing.T) {
	data, err := os.ReadFile("testdata/captures.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Key, User, Password string
		Captures            []struct {
			Client string
			Time   int64 // Unix seconds
			Line   string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	forms := map[string]int{}
	for _, c := range file.Captures {
		v, clock := newVerifier(t, func(config *Config) {
			config.Users, config.Keys = []User{{Name: file.User, Password: file.Password}}, mustKeys(t, file.Key)
		})
		clock.now = time.Unix(c.Time, 0)
		verify := func(change func(*Request)) Reason {
			_, fields, _ := cutChannel([]byte(c.Line))
			var r Request
			if !parseLine(fields, &r) {
				t.Fatalf("%s: %s", c.Client, c.Line)
			}
			change(&r)
			return v.Verify(&r).Reason
		}
		signed := true // for what was asked
		got := verify(func(r *Request) {
			signed = c.Client != "requests" || !bytes.Contains(r.Target, []byte(";"))
			forms[fmt.Sprint(c.Client, " ", string(r.Method))]++
		})
		if want := map[bool]Reason{true: Accepted, false: TargetMismatch}[signed]; got != want {
			t.Errorf("%s: %v, want %v\n%s", c.Client, got, want, c.Line)
		}
		if got := verify(func(r *Request) { r.Method = []byte("PUT") }); got != WrongPassword {
			t.Errorf("%s with PUT: %v\n%s", c.Client, got, c.Line)
		}
		// Without its target a uri with unescaped quotes cannot be read.
		got = verify(func(r *Request) { r.Target = append(bytes.Clone(r.Target), '0') })
		if got != TargetMismatch && got != WrongPassword && got != HeaderMalformed {
			t.Errorf("%s for another target: %v\n%s", c.Client, got, c.Line)
		}
		want := NonceForeign
		if !signed {
			want = TargetMismatch
		}
		if got := verify(func(r *Request) { r.Client = netip.MustParseAddr("198.51.100.8") }); got != want {
			t.Errorf("%s from another address: %v\n%s", c.Client, got, c.Line)
		}
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
