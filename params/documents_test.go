package params

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/doctest"
	"squidfleet/internal/must"
)

func TestTheDocumentsHoldTheTable(t *testing.T) { doctest.Section(t, "..", "parameters", table()) }

// table returns the parameters as a Markdown table, ending in a newline. A bar in a text would end
// its cell.
func table() string {
	bars := strings.NewReplacer("|", `\|`)
	var b strings.Builder
	b.WriteString("| key | type | default | limits | meaning |\n|---|---|---|---|---|\n")
	for _, p := range parameters {
		def := inText(p.initial)
		if def != none {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", p.key, p.name, def, bars.Replace(p.limits),
			bars.Replace(p.help))
	}
	return b.String()
}

// The README names no make target that does not exist.
func TestTheREADMEsMakeTargetsExist(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	must.OK(t, err)
	targets := map[string]bool{}
	for _, chunk := range strings.Split(string(text), "make ")[1:] {
		targets[strings.FieldsFunc(chunk, func(r rune) bool { return strings.ContainsRune(" \n`,;", r) })[0]] = true
	}
	if len(targets) < 4 {
		t.Fatalf("only %v", targets)
	}
	for target := range targets {
		command := exec.Command("make", "--dry-run", "--directory", "..", target)
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("make %s: %v\n%s", target, err, out)
		}
	}
}

// Links from the documents lead to files of the project, and to headings in them.
func TestTheDocumentsLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	links, anchors := 0, 0
	for _, document := range doctest.Documents(t, "..") {
		text, err := os.ReadFile(document)
		must.OK(t, err)
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			links++
			target, anchor := document, match[2]
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(document), match[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", document, err)
			} else if anchor != "" {
				anchors++
				if !slices.Contains(headings(t, target), anchor) {
					t.Errorf("%s: %s has no heading %q", document, target, anchor)
				}
			}
		}
	}
	if links < 15 || anchors < 1 {
		t.Errorf("only %d links, %d of them to headings", links, anchors)
	}
}

// headings returns the anchors that GitHub gives to a document's headings.
func headings(t *testing.T, document string) (anchors []string) {
	t.Helper()
	text, err := os.ReadFile(document)
	must.OK(t, err)
	dropped := regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		anchors = append(anchors, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return anchors
}
