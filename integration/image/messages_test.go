package image

import (
	"strings"
	"testing"

	"squidfleet/internal/rig"
)

// The image's Squid is another version than the machine's. Its messages about hostile requests
// hold no secret either, and nothing that passes for a line of the log.
func TestMessagesHoldNoSecret(t *testing.T) {
	rig.StartOrigins(t, []int{80}, nil)
	p := start(t, inSecrets)
	if err := p.client().SendHostile(); err != nil {
		t.Fatal(err)
	}
	p.get("http://151.101.1.69/")
	p.signal("TERM")
	p.wait()
	stdout, stderr := p.logs()
	if n := strings.Count(stdout, "\n"); n < len(rig.Hostile) {
		t.Errorf("only %d lines for %d requests", n, len(rig.Hostile))
	}
	for line := range strings.Lines(stdout) {
		if !strings.HasPrefix(line, `{"egress":"`) {
			t.Errorf("in the log: %s", line)
		}
	}
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "squid: ") && !strings.HasPrefix(line, "entrypoint: ") {
			t.Errorf("a message without a prefix: %s", line)
		}
	}
	for line := range strings.Lines(stdout + stderr) {
		if strings.Contains(line, rig.HostileSecret) {
			t.Errorf("%q in: %s", rig.HostileSecret, line)
		}
	}
}
