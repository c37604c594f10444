package stacks_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/must"
	"squidfleet/internal/synthtest"
)

func TestSameParametersGiveTheSameAssembly(t *testing.T) {
	changes := cdkcontext.Cases["everything"].Changes
	first := synth(t, changes).dir
	second := filepath.Join(t.TempDir(), "somewhere", "else")
	synthtest.Synth(t, second, cdkcontext.Case{Changes: changes})
	if files := cdkcontext.Files(t, first); len(files) < 50 {
		t.Errorf("only %d files", len(files))
	}
	if output, err := exec.Command("diff", "-r", first, second).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	// The entrypoint is a program, in which any path may be a word.
	grep := exec.Command("grep", "-rlF", "--exclude=entrypoint", "-e", synthtest.Scratch(), "-e", os.TempDir()+"/",
		"-e", "jsii-kernel", first)
	if output, _ := grep.CombinedOutput(); grep.ProcessState.ExitCode() != 1 {
		t.Errorf("paths of this machine in\n%s", output)
	}
}

// TestTheLargestFleetsFitIntoATemplate: CloudFormation takes 500 resources and 1 MB
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html).
func TestTheLargestFleetsFitIntoATemplate(t *testing.T) {
	hours := only("activeHours", "mon-fri 07:00-19:00")
	for _, c := range []map[string]any{
		with(hours, "fleetSize", "49"), with(with(hours, "fleetSize", "100"), "addressPorts", "false"),
	} {
		fleet := synth(t, c)
		info, err := os.Stat(filepath.Join(fleet.dir, "Squidfleet-Proxy.template.json"))
		must.OK(t, err)
		resources := len(fleet.templates["Proxy"].Resources)
		if t.Logf("%v: %d resources, %d bytes", c, resources, info.Size()); resources > 500 || info.Size() > 1_000_000 {
			t.Error("the template is too large")
		}
	}
}
