package differences

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of differences into docs/use.md")

const (
	document = "../../docs/use.md"
	begin    = "<!-- differences -->\n"
	end      = "<!-- /differences -->\n"
)

func TestTheDocumentHoldsTheTable(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks around the table", document)
	}
	if *update {
		if err := os.WriteFile(document, []byte(before+begin+Table()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != Table() {
		t.Errorf("%s has another table (go test ./internal/differences -update writes it anew)", document)
	}
}

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
