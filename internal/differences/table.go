package differences

import "strings"

// Table returns the rows as Markdown: a table of those that come to something else, a list of those that do not.
func Table() string {
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
