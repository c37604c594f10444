// Package rotation rotates a fleet on one machine (package local: real Squids under the real
// entrypoint, behind the stand-in for the load balancer) while clients use it, and counts what
// they lose. It needs root, for a network namespace of its own.
package rotation

import (
	"os"
	"testing"

	"squidfleet/internal/rig"
)

func TestMain(m *testing.M) {
	rig.Isolate()
	os.Exit(m.Run())
}
