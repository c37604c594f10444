package logquery

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Line is a log line's JSON object, or a row of an answer. Numbers are float64.
type Line map[string]any

// Read reads the lines that are JSON objects, as CloudWatch Logs does. @timestamp is their order.
func Read(lines []string) (all []Line) {
	for i, text := range lines {
		var l Line
		if json.Unmarshal([]byte(text), &l) == nil {
			l["@timestamp"] = float64(i)
			all = append(all, l)
		}
	}
	return all
}

// Run runs a query over lines. It knows what the queries of this package are made of:
//
//   - filter with =, !=, <, <=, >, >=, in, ispresent, and, or
//   - fields with names, and coalesce(field, number) as a name
//   - parse of a field by a regular expression
//   - stats with count, count_distinct, sum, earliest and latest, by fields
//   - sort by one field, and limit
//
// Documented at
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html. What the pages
// leave open is an error: a comparison other than = with a member that a line lacks.
func Run(query string, lines []Line) ([]Line, error) {
	var code []string
	for line := range strings.Lines(query) {
		if !strings.HasPrefix(line, "#") {
			code = append(code, line)
		}
	}
	for _, command := range strings.Split(strings.Join(code, ""), "\n| ") {
		verb, rest, _ := strings.Cut(strings.Join(strings.Fields(command), " "), " ")
		run, known := verbs[verb]
		if !known {
			return nil, fmt.Errorf("%q: unknown command", command)
		}
		var err error
		if lines, err = run(rest, lines); err != nil {
			return nil, fmt.Errorf("%q: %w", command, err)
		}
	}
	return lines, nil
}

var verbs = map[string]func(rest string, lines []Line) ([]Line, error){
	"filter": filter, "fields": fields, "parse": parse, "stats": stats, "sort": sortBy, "limit": limit,
}

// filter returns the lines for which an expression of the command filter is true. It is read as the
// Go expression that is written alike.
func filter(expression string, lines []Line) (kept []Line, err error) {
	operators := map[string]string{"=": "==", "and": "&&", "or": "||"}
	inGo := words.ReplaceAllStringFunc(lists.ReplaceAllString(expression, "in($1, $2)"), func(word string) string {
		return cmp.Or(operators[word], word)
	})
	condition, err := parser.ParseExpr(inGo)
	if err != nil || strings.ContainsAny(expression, "&|") {
		return nil, fmt.Errorf("%q cannot be read", expression)
	}
	for _, l := range lines {
		holds, err := l.holds(condition)
		if err != nil {
			return nil, err
		}
		if holds {
			kept = append(kept, l)
		}
	}
	return kept, nil
}

var (
	words = regexp.MustCompile(`"[^"]*"|[<>!]?=|\w+`)
	lists = regexp.MustCompile(`(\w+) in \[([^\]]*)\]`)
)

// holds reports whether a condition is true for the line.
func (l Line) holds(condition ast.Expr) (bool, error) {
	switch c := condition.(type) {
	case *ast.ParenExpr:
		return l.holds(c.X)
	case *ast.CallExpr:
		var arguments []string
		for _, a := range c.Args {
			arguments = append(arguments, word(a))
		}
		value, there := l[arguments[0]]
		if word(c.Fun) == "ispresent" {
			return there, nil
		}
		return slices.ContainsFunc(arguments[1:], func(written string) bool { return same(value, written) }), nil
	case *ast.BinaryExpr:
		if c.Op != token.LAND && c.Op != token.LOR {
			return l.compare(word(c.X), c.Op, word(c.Y))
		}
		left, err := l.holds(c.X)
		if err != nil || left == (c.Op == token.LOR) {
			return left, err
		}
		return l.holds(c.Y)
	}
	return false, fmt.Errorf("%s is no condition", word(condition))
}

// word returns a name, a number or a quoted text as it is written.
func word(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.BasicLit:
		return e.Value
	}
	return ""
}

// same reports whether a member is what is written. A star at the end stands for any text.
func same(value any, written string) bool {
	text, err := strconv.Unquote(written)
	if err != nil {
		number, err := strconv.ParseFloat(written, 64)
		return err == nil && value == number
	}
	member, isText := value.(string)
	if begin, wild := strings.CutSuffix(text, "*"); wild {
		return isText && strings.HasPrefix(member, begin)
	}
	return isText && member == text
}

func (l Line) compare(name string, operator token.Token, written string) (bool, error) {
	value, there := l[name]
	switch {
	case operator == token.EQL:
		return same(value, written), nil
	case operator == token.NEQ && there:
		return !same(value, written), nil
	}
	limit, err := strconv.ParseFloat(written, 64)
	number, isNumber := value.(float64)
	if err != nil || there && !isNumber || operator == token.NEQ {
		return false, fmt.Errorf("%s %s %s: what comes of it for %v is not documented", name, operator, written, value)
	}
	// A number that is not there is neither more nor less than another.
	switch operator {
	case token.GEQ:
		return there && number >= limit, nil
	case token.LEQ:
		return there && number <= limit, nil
	case token.LSS:
		return there && number < limit, nil
	case token.GTR:
		return there && number > limit, nil
	}
	return false, fmt.Errorf("%s: unknown operator", operator)
}

var coalesced = regexp.MustCompile(`^coalesce\((\w+), (\d+)\) as (\w+)$`)

// fields shows the fields, or adds one that is computed.
func fields(rest string, lines []Line) ([]Line, error) {
	if parts := coalesced.FindStringSubmatch(rest); parts != nil {
		for _, l := range lines {
			if l[parts[3]] = l[parts[1]]; l[parts[3]] == nil {
				l[parts[3]], _ = strconv.ParseFloat(parts[2], 64)
			}
		}
		return lines, nil
	}
	var rows []Line
	for _, l := range lines {
		rows = append(rows, l.only(rest+", @timestamp"))
	}
	return rows, nil
}

// only returns the members of a list, as far as they are there.
func (l Line) only(names string) Line {
	row := Line{}
	for name := range strings.SplitSeq(names, ", ") {
		if value, there := l[name]; there {
			row[name] = value
		}
	}
	return row
}

func parse(rest string, lines []Line) ([]Line, error) {
	field, pattern, _ := strings.Cut(rest, " ")
	expression, err := regexp.Compile(strings.Trim(pattern, "/"))
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		text, _ := l[field].(string)
		if found := expression.FindStringSubmatch(text); found != nil {
			for i, name := range expression.SubexpNames()[1:] {
				l[name] = found[i+1]
			}
		}
	}
	return lines, nil
}

var aggregate = regexp.MustCompile(`^(\w+)\(([*\w]+)\) as (\w+)$`)

// stats groups the lines by what the fields after "by" have, nothing included.
func stats(rest string, lines []Line) (rows []Line, err error) {
	what, by, _ := strings.Cut(rest, " by ")
	groups := map[string][]Line{}
	for _, l := range lines {
		row := l.only(by)
		key := fmt.Sprint(row)
		if groups[key] == nil {
			rows = append(rows, row)
		}
		groups[key] = append(groups[key], l)
	}
	for _, row := range rows {
		group := groups[fmt.Sprint(row)]
		for one := range strings.SplitSeq(what, ", ") {
			parts := aggregate.FindStringSubmatch(one)
			if parts == nil || functions[parts[1]] == nil {
				return nil, fmt.Errorf("%q is unknown", one)
			}
			var values []any
			for _, l := range group {
				if value, there := l[parts[2]]; there || parts[2] == "*" {
					values = append(values, value)
				}
			}
			row[parts[3]] = functions[parts[1]](values)
		}
	}
	return rows, nil
}

// functions are over values in the order of time.
var functions = map[string]func(values []any) any{
	"count": func(values []any) any { return float64(len(values)) },
	"count_distinct": func(values []any) any {
		distinct := map[any]bool{}
		for _, v := range values {
			distinct[v] = true
		}
		return float64(len(distinct))
	},
	"sum": func(values []any) any {
		sum := 0.0
		for _, v := range values {
			number, _ := v.(float64)
			sum += number
		}
		return sum
	},
	"earliest": func(values []any) any { return append(values, nil)[0] },
	"latest":   func(values []any) any { return append([]any{nil}, values...)[len(values)] },
}

func sortBy(rest string, lines []Line) ([]Line, error) {
	name, descending := strings.CutSuffix(rest, " desc")
	if !descending {
		return nil, fmt.Errorf("%q: only desc is known", rest)
	}
	slices.SortStableFunc(lines, func(a, b Line) int {
		x, _ := a[name].(float64)
		y, _ := b[name].(float64)
		return int(min(max(y-x, -1), 1))
	})
	return lines, nil
}

func limit(rest string, lines []Line) ([]Line, error) {
	n, err := strconv.Atoi(rest)
	return lines[:min(n, len(lines))], err
}

// Match returns the lines that a filter pattern matches:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
func Match(pattern string, lines []Line) ([]Line, error) {
	bare, braced := strings.CutPrefix(pattern, "{ ")
	bare, closed := strings.CutSuffix(bare, " }")
	if !braced || !closed || strings.Contains(bare, " and ") || strings.Contains(bare, " or ") {
		return nil, fmt.Errorf("%q is no pattern for JSON", pattern)
	}
	return filter(strings.NewReplacer("$.", "", "&&", "and", "||", "or").Replace(bare), lines)
}
