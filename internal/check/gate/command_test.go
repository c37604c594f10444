package gate

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCommand runs the command that make check runs.
func TestCommand(t *testing.T) {
	program := filepath.Join(t.TempDir(), "check")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	run := func(dir string, args ...string) (status int, findings, problems string) {
		t.Helper()
		var stdout, stderr strings.Builder
		command := exec.CommandContext(t.Context(), program, args...)
		command.Dir, command.Stdout, command.Stderr = dir, &stdout, &stderr
		if err := command.Run(); err != nil {
			exit := new(exec.ExitError)
			if !errors.As(err, &exit) {
				t.Fatal(err)
			}
			status = exit.ExitCode()
		}
		return status, stdout.String(), stderr.String()
	}
	summary := regexp.MustCompile(`(?m)^\S+cdk\.out: 0 findings in \d+\.\d s$`)
	parent := parentOf(t, "default")
	if status, findings, problems := run(root, filepath.Join(parent, "cdk.out")); status != 0 || findings != "" || !summary.MatchString(problems) {
		t.Errorf("our own: status %d\n%s%s", status, findings, problems)
	}

	broken := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(broken, os.DirFS(parent)); err != nil {
		t.Fatal(err)
	}
	copied(filepath.Join(broken, "cdk.out")).edit(t, "Squidfleet-Proxy.template.json", `"AssignPublicIp": "ENABLED"`, `"AssignPublicIp": "enabled"`)
	status, findings, problems := run(root, filepath.Join(broken, "cdk.out"))
	line := regexp.MustCompile(`^[\w.-]+: [\w-]+: [\w.-]+: \S.*$`)
	lines := strings.Split(strings.TrimSuffix(findings, "\n"), "\n")
	for _, l := range lines {
		if !line.MatchString(l) {
			t.Errorf("not template: logical id: rule: message: %q", l)
		}
	}
	// An enumeration's value (W3030 is only a warning to AWS), the invariant, and the hash of the template.
	for _, rule := range []string{": Service: W3030: ", ": Service: network: ", ": -: asset-hash: "} {
		if !strings.Contains(findings, rule) {
			t.Errorf("no finding %s", rule)
		}
	}
	if status != 1 {
		t.Errorf("broken: status %d\n%s%s", status, findings, problems)
	}

	exceptions := filepath.Join(t.TempDir(), "exceptions.json")
	if err := os.WriteFile(exceptions, []byte(`[{"template": "Squidfleet-Proxy", "resource": "Log", "rule": "log", "reason": "it was wrong once, and is right by now"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, findings, _ := run(root, "-exceptions", exceptions, filepath.Join(parent, "cdk.out")); status != 1 || !strings.Contains(findings, "Squidfleet-Proxy: Log: unused-exception: ") {
		t.Errorf("unused exception: status %d\n%s", status, findings)
	}
	imported := parentOf(t, "imported")
	if status, findings, _ := run(root, filepath.Join(imported, "cdk.out")); status != 1 || !strings.Contains(findings, "Imported-Proxy: -: context: ") {
		t.Errorf("without the lookups: status %d\n%s", status, findings)
	}
	make := exec.CommandContext(t.Context(), "make", "--silent", "check", "ASSEMBLY="+filepath.Join(imported, "cdk.out"), "CONTEXT="+filepath.Join(imported, "cdk.context.json"), "EXCEPTIONS="+exceptions)
	make.Dir = root
	if output, err := make.CombinedOutput(); err == nil || !strings.Contains(string(output), "cdk.out: 1 findings in ") || !strings.Contains(string(output), "unused-exception: ") {
		t.Errorf("make check with the lookups and an exception for another: %v\n%s", err, output)
	}
	if status, _, problems := run(t.TempDir(), filepath.Join(parent, "cdk.out")); status != 2 || !strings.Contains(problems, "npm ci") {
		t.Errorf("without npm packages: status %d\n%s", status, problems)
	}
	if status, findings, _ := run(root, filepath.Join(parent, "none")); status != 1 || !strings.Contains(findings, "manifest.json: -: manifest: manifest.json is missing") {
		t.Errorf("no assembly: status %d\n%s", status, findings)
	}
	if status, _, _ := run(root, "a", "b"); status != 2 {
		t.Errorf("two assemblies: status %d", status)
	}
}
