package gate

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/check"
)

// TestOwnTemplatesPass: what the app synthesises has no findings, nor needs an exception.
func TestOwnTemplatesPass(t *testing.T) {
	exceptions, err := check.ReadExceptions("../exceptions.json")
	if err != nil || len(exceptions) > 0 {
		t.Fatalf("%d exceptions, %v", len(exceptions), err)
	}
	var all []*check.Stack
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		a := load(t, set)
		for _, f := range check.Invariants(a) {
			t.Errorf("%s: %s", set, f)
		}
		all = append(all, a.Stacks...)
	}
	validated, err := check.Validate(t.Context(), root, all...)
	if err != nil {
		t.Fatal(err)
	}
	for i, findings := range validated {
		for _, f := range findings {
			t.Errorf("%s: %s", all[i].TemplateFile, f)
		}
	}
}

// TestGoldenTemplates: templates change only when somebody means them to. Hashes of the image are the one thing that differs from what is deployed.
func TestGoldenTemplates(t *testing.T) {
	seen := map[string]bool{}
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		for _, stack := range load(t, set).Stacks {
			got, err := os.ReadFile(stack.TemplateFile)
			if err != nil {
				t.Fatal(err)
			}
			for _, image := range stack.Images {
				got = bytes.ReplaceAll(got, []byte(image.Hash), []byte("IMAGE-HASH"))
			}
			golden := filepath.Join("testdata", "golden", set, filepath.Base(stack.TemplateFile))
			seen[golden] = true
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Errorf("%v: run go test ./internal/check/gate -update", err)
				continue
			}
			if line, differ := firstDifference(string(got)+"\n", string(want)); differ {
				t.Errorf("%s: %s\nif that is meant, run go test ./internal/check/gate -update and read the diff", golden, line)
			}
		}
	}
	err := filepath.WalkDir("testdata/golden", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !seen[path] {
			t.Errorf("%s: no set of parameters makes it; remove it", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func firstDifference(got, want string) (string, bool) {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return "lacks " + b[i], true
		case i >= len(b):
			return "adds " + a[i], true
		case a[i] != b[i]:
			return "is " + a[i] + ", was " + b[i], true
		}
	}
	return "", false
}

// TestSynthIsRepeatable: another directory or another process write the same bytes.
func TestSynthIsRepeatable(t *testing.T) {
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		again, _ := synthesise(t, set, filepath.Join(t.TempDir(), "somewhere", "else"))
		same(t, set, again, filepath.Join(parentOf(t, set), "cdk.out"))
	}
	// And the CDK's command line, which passes context of its own on.
	var out [2]string
	for i := range out {
		out[i] = filepath.Join(t.TempDir(), "cdk.out")
		cdk := exec.CommandContext(t.Context(), "cdk", "synth", "--quiet", "--no-notices", "--output", out[i])
		cdk.Dir = root
		if output, err := cdk.CombinedOutput(); err != nil {
			t.Fatalf("cdk synth: %v\n%s", err, output)
		}
	}
	same(t, "command line", out[0], out[1])
}

// same compares two directories.
func same(t *testing.T, name, a, b string) {
	t.Helper()
	first, second := contents(t, a), contents(t, b)
	if len(first) < 5 {
		t.Errorf("%s: %d files", name, len(first))
	}
	for file := range first {
		if _, there := second[file]; !there {
			t.Errorf("%s: %s is there once only", name, file)
		}
	}
	for file, content := range second {
		if got, there := first[file]; !there || got != content {
			t.Errorf("%s: %s differs", name, file)
		}
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		relative, _ := filepath.Rel(dir, path)
		files[relative] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
