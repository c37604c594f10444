package standin

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// match reports whether a line fits a filter pattern of CloudWatch Logs: an empty one, or { … }
// with comparisons in parentheses joined by && and ||. Source: "Using filter patterns to match
// terms in JSON log events" in the user guide.
func match(pattern, message string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	inner, opened := strings.CutPrefix(pattern, "{ ")
	inner, closed := strings.CutSuffix(inner, " }")
	if !opened || !closed {
		return false, fmt.Errorf("not in braces: %s", pattern)
	}
	var line map[string]any
	isJSON := json.Unmarshal([]byte(message), &line) == nil
	p := matcher{tokens: tokens.FindAllString(inner, -1), line: line}
	if spaceless := strings.NewReplacer(" ", ""); spaceless.Replace(strings.Join(p.tokens, "")) != spaceless.Replace(
		inner) {
		return false, fmt.Errorf("cannot be read: %s", inner)
	}
	result := p.either()
	if len(p.tokens) > 0 || p.failed {
		return false, fmt.Errorf("cannot be read: %s", inner)
	}
	return result && isJSON, nil
}

var (
	tokens     = regexp.MustCompile(`\(|\)|&&|\|\||\$\.\w+ (?:=|>=|<=) (?:"[^"]*"|\d+)`)
	comparison = regexp.MustCompile(`^\$\.(\w+) (=|>=|<=) (?:"([^"]*)"|(\d+))$`)
)

type matcher struct {
	tokens []string
	line   map[string]any
	failed bool
}

func (m *matcher) take(token string) bool {
	if len(m.tokens) > 0 && m.tokens[0] == token {
		m.tokens = m.tokens[1:]
		return true
	}
	return false
}

func (m *matcher) either() bool {
	result := m.both()
	for m.take("||") {
		result = m.both() || result
	}
	return result
}

func (m *matcher) both() bool {
	result := m.one()
	for m.take("&&") {
		result = m.one() && result
	}
	return result
}

func (m *matcher) one() bool {
	if m.take("(") {
		result := m.either()
		m.failed = m.failed || !m.take(")")
		return result
	}
	if len(m.tokens) == 0 {
		m.failed = true
		return false
	}
	parts := comparison.FindStringSubmatch(m.tokens[0])
	m.tokens = m.tokens[1:]
	if parts == nil {
		m.failed = true
		return false
	}
	if parts[4] == "" {
		return m.line[parts[1]] == parts[3]
	}
	value, isNumber := m.line[parts[1]].(float64)
	limit, _ := strconv.ParseFloat(parts[4], 64)
	switch parts[2] {
	case ">=":
		return isNumber && value >= limit
	case "<=":
		return isNumber && value <= limit
	}
	return isNumber && value == limit
}
