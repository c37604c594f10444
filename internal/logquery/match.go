package logquery

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Line is a log line's JSON object. Numbers are float64.
type Line map[string]any

// Read reads the lines that are JSON objects, as CloudWatch Logs does.
func Read(lines []string) (all []Line) {
	for _, text := range lines {
		var l Line
		if json.Unmarshal([]byte(text), &l) == nil {
			all = append(all, l)
		}
	}
	return all
}

var (
	inPattern = regexp.MustCompile(`\$\.(\w+) ([<>!]?=|[<>]) ("[^"]*"|\d+)`)
	inQuery   = regexp.MustCompile(`(\w+) ([<>!]?=|[<>]|in) ("[^"]*"|\d+|\[[^]]*\])|ispresent\((\w+)\)`)
)

// Match returns the lines that a filter pattern matches:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
func Match(pattern string, lines []Line) ([]Line, error) {
	bare, braced := strings.CutPrefix(pattern, "{ ")
	bare, closed := strings.CutSuffix(bare, " }")
	if !braced || !closed {
		return nil, fmt.Errorf("%q is no pattern for JSON", pattern)
	}
	return where(bare, inPattern, lines)
}

// Kept returns the lines that a query's command filter keeps:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Filter.html
func Kept(expression string, lines []Line) ([]Line, error) {
	if strings.ContainsAny(expression, "&|") {
		return nil, fmt.Errorf("%q is no expression of a query", expression)
	}
	return where(strings.NewReplacer(" and ", " && ", " or ", " || ").Replace(expression), inQuery, lines)
}

// where returns the lines for which a condition is true. Each of its comparisons becomes true or
// false, and Go evaluates the rest. Of what the pages leave open both are tried: it is an error if
// that decides.
func where(condition string, comparison *regexp.Regexp, lines []Line) (kept []Line, err error) {
	for _, l := range lines {
		var holds [2]bool
		for i, open := range []bool{false, true} {
			truths := comparison.ReplaceAllStringFunc(condition, func(text string) string {
				is, documented := l.compare(comparison.FindStringSubmatch(text))
				return strconv.FormatBool(documented && is || !documented && open)
			})
			value, err := types.Eval(token.NewFileSet(), nil, token.NoPos, truths)
			if err != nil || value.Value == nil || value.Value.Kind() != constant.Bool {
				return nil, fmt.Errorf("%q cannot be read: %v", condition, err)
			}
			holds[i] = constant.BoolVal(value.Value)
		}
		if holds[0] != holds[1] {
			return nil, fmt.Errorf("%q: what comes of it for %v is not documented", condition, l)
		}
		if holds[0] {
			kept = append(kept, l)
		}
	}
	return kept, nil
}

// compare returns whether a comparison is true for the line, and whether the pages say so. Its
// parts are a name, an operator and what is written behind it, or the name in an ispresent.
func (l Line) compare(parts []string) (is, documented bool) {
	if operator := parts[2]; operator == "" {
		_, is = l[parts[4]]
		return is, true
	}
	value, there := l[parts[1]]
	written := parts[3]
	switch parts[2] {
	case "=":
		return same(value, written), true
	case "!=":
		return !same(value, written), there
	case "in":
		return slices.ContainsFunc(strings.Split(strings.Trim(written, "[]"), ", "), func(one string) bool {
			return same(value, one)
		}), true
	}
	limit, err := strconv.ParseFloat(written, 64)
	number, isNumber := value.(float64)
	order := cmp.Compare(number, limit)
	// A number that is not there is neither more nor less than another.
	is = there && map[string]bool{"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[parts[2]]
	return is, err == nil && (isNumber || !there)
}

// same reports whether a member is what is written.
func same(value any, written string) bool {
	if text, err := strconv.Unquote(written); err == nil {
		return value == text
	}
	number, err := strconv.ParseFloat(written, 64)
	return err == nil && value == number
}
