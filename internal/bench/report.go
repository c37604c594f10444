// Package bench holds what the benchmarks share: medians of interleaved runs, and their report.
package bench

import (
	"fmt"
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
	slices.Sort(sorted)
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// MedianRatio is the median of values of interleaved rounds, each divided by that of a base in the
// same round.
func MedianRatio(values, base []float64) float64 {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / base[i]
	}
	return Median(ratios)
}

// Report replaces the section of docs/design/benchmarks.md with the given name by a text in
// Markdown, or adds it. root is the module's directory.
func Report(root, section, text string) error {
	return ReportIn(root, "benchmarks.md", section, text)
}

// ReportIn is Report for another document of docs/design.
func ReportIn(root, name, section, text string) error {
	path := filepath.Join(root, "docs", "design", name)
	document, err := os.ReadFile(path)
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
	_, after, _ := strings.Cut(rest, end)
	return before + text + after
}
