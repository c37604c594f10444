package local

import (
	"testing"

	"squidfleet/squid"
)

func TestOptionsAreChecked(t *testing.T) {
	o := Options{
		Params:    parse(t, map[string]any{"users": "alice,bob"}),
		Passwords: []squid.Credential{{User: "alice", Password: "open sesame"}}, Addresses: 50, Port: 65486,
	}
	_, err := Start(t.Context(), o)
	const want = "addresses: 50 is not from 1 to 49\nzones: 0 is not from 1 to 6\n" +
		"port: 65486 is not from 1 to 65485\npasswords: 1 given for 2 users"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant:\n%s", err, want)
	}
}
