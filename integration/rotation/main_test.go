// Package rotation rotates a fleet on one machine (package local: real Squids under the real
// entrypoint, behind the stand-in for the load balancer) while clients use it, and counts what
// they lose. It needs root, for a network namespace of its own.
package rotation

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"squidfleet/internal/rig"
)

func TestMain(m *testing.M) {
	rig.Isolate()
	os.Exit(run(m))
}

// program is squidfleet.
var program string

func run(m *testing.M) int {
	directory, err := os.MkdirTemp("", "squidfleet-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(directory)
	program = filepath.Join(directory, "squidfleet")
	build := exec.Command("go", "build", "-o", program, "squidfleet/cmd/squidfleet")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}
