package stacks

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/must"
)

// write writes a file for each name, below dir.
func write(t *testing.T, dir string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		path := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
		must.OK(t, err)
	}
}

// holds compares the files below dir with their wanted content.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if got := cdkcontext.Files(t, dir); !maps.Equal(got, want) {
		t.Errorf("%s holds %v, want %v", dir, got, want)
	}
}

var (
	lastOne = map[string]string{
		"manifest.json": "last", "tree.json": "last", "asset.1/squid.conf": "last",
		"synth.lock": "the CLI's", "notes.txt": "a person's",
	}
	nextOne = map[string]string{
		"manifest.json": "next", "tree.json": "next", "asset.1/squid.conf": "next", "asset.2/squid.conf": "next",
	}
	asked = map[string]string{
		"manifest.json": "question", "tree.json": "question", "Fleet-Proxy.template.json": "question",
	}
)

// union returns the files of both. The second one's content wins.
func union(a, b map[string]string) map[string]string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// What a run of the app does.
const (
	fails = iota
	asks
	answers
)

// run does what a run of the app does.
func run(t *testing.T, dir string, written map[string]string, end int) {
	t.Helper()
	o, err := openOutdir(dir)
	must.OK(t, err)
	write(t, o.work, written)
	if end != fails {
		err = o.publish(end == asks)
	}
	must.OK(t, errors.Join(err, o.discard()))
}

func TestADirectoryHoldsTheLastAssembly(t *testing.T) {
	for _, c := range []struct {
		name  string
		last  map[string]string
		asked bool // before
		end   int
		want  map[string]string
	}{
		{"an assembly replaces the last one file by file", lastOne, false, answers, union(lastOne, nextOne)},
		{"an error leaves the last one", lastOne, false, fails, lastOne},
		{"a question, and the answer", lastOne, true, answers, union(lastOne, nextOne)},
		{"a question, and an error", lastOne, true, fails, lastOne},
		{"a question where there was none, and the answer", nil, true, answers, nextOne},
		{"a question where there was none, and an error", nil, true, fails, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.last)
			for range 2 { // the CLI may have been stopped after the first time
				if c.asked {
					run(t, dir, asked, asks)
					files := cdkcontext.Files(t, dir)
					maps.DeleteFunc(files, func(name, _ string) bool { return asked[name] == "" })
					if !maps.Equal(files, asked) {
						t.Errorf("the question is %v", files)
					}
				}
			}
			run(t, dir, nextOne, c.end)
			holds(t, dir, c.want)
		})
	}
}

func TestADirectoryOfOurOwnGoesUnlessThereIsAnAssembly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cdk.out")
	run(t, dir, nextOne, fails)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is there: %v", dir, err)
	}
	run(t, dir, nextOne, answers)
	holds(t, dir, nextOne)
}
