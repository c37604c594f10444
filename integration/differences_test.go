package integration

import (
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"squidfleet/internal/differences"
	"squidfleet/internal/must"
)

// What docs/use.md says of the machine's Squid is so; integration/image has the same for the
// image's.
func TestDifferencesFromADirectConnection(t *testing.T) {
	task := startTask(t, options(nil))
	out, err := exec.Command("squid", "-v").Output()
	version := regexp.MustCompile(`^Squid Cache: Version (\d+)\.`).FindSubmatch(out)
	if err != nil || version == nil {
		t.Fatalf("squid -v: %v: %s", err, out)
	}
	major, err := strconv.Atoi(string(version[1]))
	must.OK(t, err)
	differences.Run(t, client(task), major)
}
