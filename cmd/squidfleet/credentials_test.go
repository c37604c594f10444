package main

import (
	"bytes"
	"strings"
	"testing"

	"squidfleet/internal/operator"
)

// The whole output can be run as a script, whatever the password is.
func TestPasswordStaysInItsComment(t *testing.T) {
	var out bytes.Buffer
	s := &streams{out: &out}
	s.credentials(
		&operator.Credentials{
			Endpoint: "e.example:1", Users: []operator.User{{Name: "a", Password: "x\ntouch y\r\n"}},
		},
	)
	for line := range strings.Lines(out.String()) {
		if line != "\n" && !strings.HasPrefix(line, "# ") {
			t.Errorf("%q is no comment", line)
		}
	}
}
