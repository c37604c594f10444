package params

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

// TestRefused runs testdata/refused.txt.
func TestRefused(t *testing.T) {
	const atLeast = 150 // cases, so that a file that is read wrongly does not pass
	cases := readRefused(t)
	if len(cases) < atLeast {
		t.Errorf("%d cases, want at least %d", len(cases), atLeast)
	}
	for _, c := range cases {
		t.Run(c.input, func(t *testing.T) {
			p, err := Parse(c.context)
			if err == nil {
				t.Fatalf("accepted as %+v", *p)
			}
			if p != nil {
				t.Error("parameters returned in spite of the error")
			}
			if err.Error() != c.message {
				t.Errorf("error:\n%s\nwant:\n%s", err, c.message)
			}
		})
	}
}

type refusedCase struct {
	input   string
	context map[string]any
	message string
}

func readRefused(t *testing.T) []refusedCase {
	t.Helper()
	file, err := os.ReadFile("testdata/refused.txt")
	must.OK(t, err)
	var cases []refusedCase
	for block := range strings.SplitSeq(string(file), "\n\n") {
		var input, message []string
		c := refusedCase{context: map[string]any{}}
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case line == "", strings.HasPrefix(line, "#"):
				continue
			case strings.HasPrefix(line, "    "):
				message = append(message, line[4:])
				continue
			case strings.HasPrefix(line, "-c "):
				key, value, ok := strings.Cut(line[3:], "=")
				if !ok {
					t.Fatalf("%q has no =", line)
				}
				c.context[key] = value
			default:
				if err := json.Unmarshal([]byte(line), &c.context); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
			}
			input = append(input, line)
		}
		if len(input) > 0 {
			c.input, c.message = strings.Join(input, " "), strings.Join(message, "\n")
			cases = append(cases, c)
		}
	}
	return cases
}
