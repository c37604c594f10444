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

// run does what a run of the app does. It publishes or, without publish, ends with an error.
func run(t *testing.T, dir string, written map[string]string, publish func(*outdir) error) {
	t.Helper()
	o, err := openOutdir(dir)
	must.OK(t, err)
	write(t, o.work, written)
	if publish != nil {
		err = publish(o)
	}
	must.OK(t, errors.Join(err, o.discard()))
}

func TestAnAssemblyReplacesTheLastOneFileByFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, lastOne)
	run(t, dir, nextOne, (*outdir).publish)
	holds(t, dir, union(lastOne, nextOne))
}

func TestAnErrorLeavesTheLastAssembly(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, lastOne)
	run(t, dir, nextOne, nil)
	holds(t, dir, lastOne)
}

func TestAQuestionCoversTheLastAssemblyUntilTheNextRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		written map[string]string
		publish func(*outdir) error
		want    map[string]string
	}{
		{"with an answer", nextOne, (*outdir).publish, union(lastOne, nextOne)},
		{"with an error", nextOne, nil, lastOne},
	} {
		for _, last := range []map[string]string{lastOne, {}} {
			t.Run(c.name, func(t *testing.T) {
				dir := t.TempDir()
				write(t, dir, last)
				for range 2 { // the CLI may have been stopped after the first time
					run(t, dir, asked, (*outdir).publishQuestion)
					for name, text := range asked {
						if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != text {
							t.Errorf("%s holds %q, %v", name, got, err)
						}
					}
				}
				run(t, dir, c.written, c.publish)
				want := c.want
				if len(last) == 0 {
					want = c.written
					if c.publish == nil {
						want = last
					}
				}
				holds(t, dir, want)
			})
		}
	}
}

func TestADirectoryOfOurOwnGoesUnlessThereIsAnAssembly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cdk.out")
	run(t, dir, nextOne, nil)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is there: %v", dir, err)
	}
	run(t, dir, nextOne, (*outdir).publish)
	holds(t, dir, nextOne)
}
