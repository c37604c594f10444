package local

import (
	"testing"

	"squidfleet/squid"
)

func TestOptionsAreChecked(t *testing.T) {
	o := Options{
		Params:    parse(t, map[string]any{"users": "alice,bob"}),
		Passwords: []squid.Credential{{User: "alice", Password: "open sesame"}}, Tasks: 51, Port: -1,
	}
	_, err := Start(t.Context(), o)
	const want = "tasks: 51 is not from 1 to 50\nzones: 0 is not from 1 to 6\n" +
		"port: -1 is not from 0 to 65535\npasswords: 1 given for 2 users"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant:\n%s", err, want)
	}
}
