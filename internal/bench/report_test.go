package bench

import (
	"cmp"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 2: {3, 1, 2}, 2.5: {4, 1, 2, 3}} {
		if got := Median(values); got != want {
			t.Errorf("%v: %v, want %v", values, got, want)
		}
	}
}

func TestARatioIsThatOfARound(t *testing.T) {
	if got := MedianRatio([]float64{1, 20, 300}, []float64{2, 10, 100}); got != 2 {
		t.Errorf("%v, want 2", got)
	}
}

func TestASectionIsReplacedAndTheOthersStay(t *testing.T) {
	document := replaceSection("# Title\n", "a", "first")
	document = replaceSection(document, "b", "second\n")
	document = replaceSection(document, "a", "third\n")
	want := "# Title\n\n<!-- begin a -->\nthird\n<!-- end a -->\n\n<!-- begin b -->\nsecond\n<!-- end b -->\n"
	if document != want {
		t.Errorf("got %q, want %q", document, want)
	}
}

// Each section that a benchmark writes stands in its document, with something in it, and no other.
func TestTheDocumentsHaveTheSectionsThatBenchmarksWrite(t *testing.T) {
	call := regexp.MustCompile(`bench\.Report(?:In)?\([^,]+,(?: "([a-z-]+\.md)",)? "([a-z-]+)",`)
	section := regexp.MustCompile(`<!-- begin ([a-z-]+) -->\n[^<]+<!-- end ([a-z-]+) -->\n`)
	written, standing := map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && entry.Name() == "node_modules" {
			return cmp.Or(err, fs.SkipDir)
		}
		name, extension := filepath.Base(path), filepath.Ext(path)
		if extension != ".go" && extension != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, found := range call.FindAllStringSubmatch(string(text), -1) {
			written[cmp.Or(found[1], "benchmarks.md")+" "+found[2]] = true
		}
		for _, found := range section.FindAllStringSubmatch(string(text), -1) {
			if extension == ".md" && found[1] == found[2] {
				standing[name+" "+found[1]] = true
			}
		}
		return err
	})
	if err != nil || len(written) == 0 || !maps.Equal(written, standing) {
		t.Errorf("%v; benchmarks write %q, documents have %q", err, slices.Sorted(maps.Keys(written)),
			slices.Sorted(maps.Keys(standing)))
	}
}
