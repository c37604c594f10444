// Package clients runs the lines of docs/use.md's table of clients, and the files in docs/clients,
// against fleets on this machine with every way in. It needs root, for namespaces of its own.
package clients

import (
	"flag"
	"os"
	"testing"

	"squidfleet/internal/rig"
)

func TestMain(m *testing.M) {
	rig.Isolate()
	// More at a time only makes each client slower.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
