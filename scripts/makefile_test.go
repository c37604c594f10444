package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// makeWith runs make with programs of its own in front of the machine's, each a shell script.
func makeWith(t *testing.T, programs map[string]string, arguments ...string) (code int, output string) {
	t.Helper()
	bin := t.TempDir()
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A cached result of the test holds for this text.
	if _, err := os.ReadFile("../Makefile"); err != nil {
		t.Fatal(err)
	}
	// The npm packages count as installed.
	command := exec.Command("make", append([]string{"--directory", "..", "--old-file", "node_modules/.package-lock.json"}, arguments...)...)
	command.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "CDK_DOCKER=no-such-engine", "MAKEFLAGS=", "MAKELEVEL=")
	text, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(text)
}

func TestMakeStopsBeforeAnythingElse(t *testing.T) {
	for _, c := range []struct {
		target   string
		programs map[string]string
		want     string
	}{
		{"test", map[string]string{"id": "echo 1000"}, "needs root, "},
		{"bench", map[string]string{"id": "echo 1000"}, "needs root, "},
		{"deploy", nil, "setup: missing: engine: "},
	} {
		t.Run(c.target, func(t *testing.T) {
			code, output := makeWith(t, c.programs, c.target, "ARGS=--no-such-option")
			lines := strings.Split(strings.TrimSpace(output), "\n")
			for len(lines) > 0 && strings.HasPrefix(lines[0], "make") {
				lines = lines[1:]
			}
			if code == 0 || len(lines) == 0 || !strings.HasPrefix(lines[0], c.want) {
				t.Errorf("exit code %d:\n%s", code, output)
			}
		})
	}
}

func TestLintFailsWithItsTools(t *testing.T) {
	for _, c := range []struct {
		name, gofmt, git string
		fails            bool
	}{
		{"in order", "exit 0", "echo x.go", false},
		{"not formatted", "echo x.go", "echo x.go", true},
		{"gofmt fails", "exit 2", "echo x.go", true},
		{"git fails", "exit 0", "exit 128", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, output := makeWith(t, map[string]string{"gofmt": c.gofmt, "git": c.git, "go": "", "shellcheck": ""}, "lint")
			if (code != 0) != c.fails {
				t.Errorf("exit code %d:\n%s", code, output)
			}
		})
	}
}
