package params

import (
	"fmt"
	"strings"
)

// Table returns the parameters as a Markdown table, ending in a newline.
func Table() string {
	var b strings.Builder
	b.WriteString("| key | type | default | limits | meaning |\n|---|---|---|---|---|\n")
	for _, p := range parameters {
		def := inText(p.Default)
		if def != none {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", p.Key, p.Type, def, cell(p.Limits), cell(p.Help))
	}
	return b.String()
}

const none = "none"

// inText writes a default the way "-c key=value" would.
func inText(def any) string {
	s := fmt.Sprint(def)
	if items, ok := def.([]any); ok {
		s = strings.Join(words(items), ",")
	}
	if s == "" {
		return none
	}
	return s
}

// cell keeps a bar in a text from ending the table's cell.
func cell(s string) string {
	return strings.ReplaceAll(s, "|", `\|`)
}
