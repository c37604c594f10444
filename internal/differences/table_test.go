package differences

import (
	"strings"
	"testing"

	"squidfleet/internal/doctest"
)

func TestTheDocumentHoldsTheTable(t *testing.T) { doctest.Section(t, "../..", "differences", table()) }

// A row's sentence says that something differs exactly where its outcomes do.
func TestSentencesGoWithOutcomes(t *testing.T) {
	for _, r := range Rows {
		if (r.Through == "") != (r.Image == "" && r.Squid5 == "") {
			t.Errorf("%s: %q does not go with %q and %q directly", r.What, r.Through, r.Image, r.Direct)
		}
		if (r.Old == "") != (r.Squid5 == "") {
			t.Errorf("%s: %q does not go with %q", r.What, r.Old, r.Squid5)
		}
	}
}

// table returns the rows as Markdown: a table of the differences, a list of what is the same.
func table() string {
	var table, same strings.Builder
	for _, r := range Rows {
		if r.Through == "" {
			same.WriteString("- " + r.What + "\n")
			continue
		}
		through := r.Through
		if r.Old != "" {
			through += ". Squid 5.7: " + r.Old
		}
		table.WriteString("| " + r.What + " | " + through + " |\n")
	}
	return "| request or answer | through the proxy |\n|---|---|\n" + table.String() +
		"\nAs without the proxy:\n\n" + same.String()
}
