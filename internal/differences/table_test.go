package differences

import (
	"testing"

	"squidfleet/internal/doctest"
)

func TestTheDocumentHoldsTheTable(t *testing.T) { doctest.Section(t, "../..", "differences", Table()) }

// A row's sentence says that something differs exactly where its outcomes do.
func TestSentencesGoWithOutcomes(t *testing.T) {
	for _, r := range Rows {
		if (r.Through == "") != (r.Image == r.Direct && r.Squid5 == "") {
			t.Errorf("%s: %q does not go with %q and %q directly", r.What, r.Through, r.Image, r.Direct)
		}
		if (r.Old == "") != (r.Squid5 == "") {
			t.Errorf("%s: %q does not go with %q", r.What, r.Old, r.Squid5)
		}
	}
}
