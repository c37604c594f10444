package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"squidfleet/internal/differences"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// No destination's answer ends a task: everybody's connections would end with it. One mode gets
// all answers, because the other has the same rules about them.
func TestNoAnswerEndsATask(t *testing.T) {
	inModes(t, digestModes, func(t *testing.T, m mode) {
		newWorld(t)
		task := startTask(t, options(m.with(map[string]any{"httpPorts": "80,81"})))
		conf, err := os.ReadFile(filepath.Join(task.Dir, "squid.conf"))
		must.OK(t, err)
		answers, count := rig.AnswersFor(string(conf)), 10_000
		if m["digest"] == "squid" {
			count = 2_000
		}
		answers.Ask(t, client(task), "http://origin.example:81/", count)
		if got := statusOf(client(task)); got != served {
			t.Errorf("a good request afterwards: %d", got)
		}
		if code, ended := task.Ended(); ended || strings.Contains(task.Errors(), "assertion") {
			t.Errorf("ended %v, %d:\n%s", ended, code, task.Errors())
		}
	})
}

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
