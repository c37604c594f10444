// Package gate holds the tests of the way from parameters to an assembly that may be deployed:
// the templates change only when somebody means them to, and package check passes what the app
// synthesises and finds what is wrong.
package gate

import (
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/check"
	"squidfleet/internal/synthtest"
	"squidfleet/proxyimage"
)

var (
	update = flag.Bool("update", false, "write the golden templates anew")
	root   = cdkcontext.Root()
	// lookups is what the CDK CLI keeps after it has looked the imported VPCs up.
	lookups = cdkcontext.Lookups(cdkcontext.Region)
	// cases are the fleets by name, and synthesised their assemblies.
	cases       = maps.Clone(cdkcontext.Cases)
	synthesised = map[string]fstest.MapFS{}
)

func TestMain(m *testing.M) {
	for _, c := range cdkcontext.Cases {
		maps.Copy(lookups, cdkcontext.Lookups(c.Place()))
	}
	synthtest.Main(m)
}

// synth synthesises a fleet to dir.
func synth(t *testing.T, dir string, c cdkcontext.Case) fstest.MapFS {
	t.Helper()
	synthtest.Synth(t, dir, c)
	return read(t, dir)
}

// read reads the files below a directory.
func read(t *testing.T, dir string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for name, text := range cdkcontext.Files(t, dir) {
		files[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return files
}

// directory is where a set's assembly is, once it was asked for.
func directory(set string) string { return filepath.Join(synthtest.Scratch(), set) }

// assembly returns a copy of a set's assembly, which is synthesised once.
func assembly(t *testing.T, set string) fstest.MapFS {
	t.Helper()
	if synthesised[set] == nil {
		synthesised[set] = synth(t, directory(set), cases[set])
	}
	return maps.Clone(synthesised[set])
}

// TestGoldenTemplates: templates change only when somebody means them to. The image's hash and the
// name of its base alone are left out.
func TestGoldenTemplates(t *testing.T) {
	goldens := 0
	if *update {
		os.RemoveAll("testdata/golden")
	}
	for _, set := range slices.Sorted(maps.Keys(cdkcontext.Cases)) {
		files, directory := assembly(t, set), filepath.Join("testdata", "golden", set)
		hash := strings.TrimPrefix(load(t, files).ImageDirectory(), "asset.")
		lasting := strings.NewReplacer(hash, "IMAGE-HASH", proxyimage.Base(), "IMAGE-BASE")
		for name, file := range files {
			if !strings.HasSuffix(name, ".template.json") {
				continue
			}
			text, golden := lasting.Replace(string(file.Data))+"\n", filepath.Join(directory, name)
			written, err := os.ReadFile(golden)
			if *update {
				err = errors.Join(os.MkdirAll(directory, 0o755), os.WriteFile(golden, []byte(text), 0o644))
			}
			if err != nil || !*update && string(written) != text {
				t.Errorf("%s differs; %v\nif that is meant: go test ./internal/check/gate -update, and read the diff",
					golden, err)
			}
			goldens++
		}
	}
	if found, err := filepath.Glob("testdata/golden/*/*"); err != nil || len(found) != goldens {
		t.Errorf("%d golden templates, want %d; %v", len(found), goldens, err)
	}
}

// load reads an assembly, in which nothing is wrong.
func load(t *testing.T, files fs.FS) *check.Assembly {
	t.Helper()
	a, findings := check.Read(files, lookups)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	return a
}
