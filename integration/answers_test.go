package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
