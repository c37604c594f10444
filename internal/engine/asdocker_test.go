package engine

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestAsDocker(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "the engine's")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$STORE:\" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := &Engine{dir, &flavour{
		program:   program,
		variables: []string{"STORE=it's here"},
		plainHTTP: []string{"--plain"},
		from:      func(dockerfile, base string) ([]string, error) { return []string{"--from", dockerfile, base}, nil },
	}}
	script, err := e.AsDocker("a file", "base")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"build", "--tag", "x", "."}, "it's here: build --network=host --from a file base --tag x ."},
		{[]string{"login", "127.0.0.1:5000"}, "it's here: login --plain 127.0.0.1:5000"},
		{[]string{"push", "x"}, "it's here: push --plain x"},
		{[]string{"tag", "x", "y"}, "it's here: tag x y"},
	} {
		output, err := exec.Command("/bin/sh", append([]string{"-c", script, "docker"}, c.arguments...)...).CombinedOutput()
		if string(output) != c.want+"\n" {
			t.Errorf("%q: %q, %v; want %q", c.arguments, output, err, c.want)
		}
	}
}
