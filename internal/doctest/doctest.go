// Package doctest compares what is generated for the documents with what they hold. Tests that
// use it have a flag -update, with which they write it instead.
package doctest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

var update = flag.Bool("update", false, "write what is generated into the documents")

// File compares a whole file.
func File(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err == nil && string(got) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what is generated, %v; run this test with -update. It should be\n%s", path, err, want)
	}
	must.OK(t, os.WriteFile(path, []byte(want), 0o644))
}

// Section compares the section between the lines "<!-- name -->" and "<!-- /name -->", which
// stands in the README or below docs, in one document of the project in root.
func Section(t *testing.T, root, name, want string) {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	found := 0
	for _, path := range Documents(t, root) {
		text, err := os.ReadFile(path)
		must.OK(t, err)
		before, rest, begun := strings.Cut(string(text), begin)
		_, after, ended := strings.Cut(rest, end)
		if begun && ended {
			found++
			File(t, path, before+begin+want+end+after)
		}
	}
	if found != 1 {
		t.Fatalf("%d documents have a section between %q and %q, want 1", found, begin, end)
	}
}

// Documents returns the paths of the project's Markdown files, in root and below docs.
func Documents(t *testing.T, root string) []string {
	t.Helper()
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		must.OK(t, err)
		documents = append(documents, found...)
	}
	return documents
}
