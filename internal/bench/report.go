// Package bench holds what the benchmarks share: medians of interleaved runs, and their report.
package bench

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Median is the middle of the values, or the mean of the two in the middle. Of no values it is 0.
func Median[T ~float64 | ~int64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.SortFunc(sorted, func(a, b T) int { return cmp.Compare(a, b) })
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Report replaces the section of docs/design/benchmarks.md with the given name by a text in
// Markdown, or adds it. The current directory must be inside the module.
func Report(section, text string) error {
	path, err := reportPath()
	if err != nil {
		return err
	}
	document, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		document, err = []byte("# Benchmarks\n\nEach section is written by the benchmark that it names; "+
			"`make bench` runs them all.\n"), nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(replaceSection(string(document), section, text)), 0o644)
}

func replaceSection(document, section, text string) string {
	begin, end := fmt.Sprintf("<!-- begin %s -->\n", section), fmt.Sprintf("<!-- end %s -->\n", section)
	text = begin + strings.TrimRight(text, "\n") + "\n" + end
	before, rest, found := strings.Cut(document, begin)
	if !found {
		return strings.TrimRight(document, "\n") + "\n\n" + text
	}
	_, after, found := strings.Cut(rest, end)
	if !found {
		after = ""
	}
	return before + text + after
}

func reportPath() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			design := filepath.Join(dir, "docs", "design")
			return filepath.Join(design, "benchmarks.md"), os.MkdirAll(design, 0o755)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the module: no go.mod above the current directory")
		}
		dir = parent
	}
}
