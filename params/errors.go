package params

import (
	"strconv"
	"strings"
	"unicode"
)

// Error is one thing that is wrong with the context.
type Error struct {
	Path    string // the parameter's key, with [i] when it is about an item of a list
	Message string // what is wrong and what to write instead, on one line
}

// Error returns path and message on one line, whatever bytes the value or the key had.
func (e Error) Error() string {
	return printable(e.Path + ": " + e.Message)
}

// Errors is everything that is wrong with the context. It is what [Parse] returns.
type Errors []Error

// Error returns one line for each error.
func (e Errors) Error() string {
	lines := make([]string, 0, len(e))
	for _, err := range e {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

// printable escapes what breaks a line or deceives its reader: control bytes, invalid UTF-8,
// invisible and direction-changing characters.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
