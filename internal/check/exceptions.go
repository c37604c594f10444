package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Exception accepts the findings of one rule about one resource.
type Exception struct {
	Template string `json:"template"` // as in the finding
	Resource string `json:"resource"` // as in the finding
	Rule     string `json:"rule"`     // as in the finding
	Reason   string `json:"reason"`   // why the finding is no fault; whoever reviews the file has to be convinced
}

// shortestReason keeps "ok" and "n/a" from passing for a reason.
const shortestReason = 20

// ReadExceptions reads a JSON list of exceptions. A file that is not there holds none. Fields that are unknown or empty, and reasons of a word or two, are errors.
func ReadExceptions(name string) ([]Exception, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	var list []Exception
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("%s: %w: give a list of {template, resource, rule, reason}", name, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: something follows the list: remove it", name)
	}
	for i, e := range list {
		for field, value := range map[string]string{"template": e.Template, "resource": e.Resource, "rule": e.Rule} {
			if value == "" {
				return nil, fmt.Errorf("%s: [%d].%s: empty: copy it from the finding", name, i, field)
			}
		}
		if len(e.Reason) < shortestReason {
			return nil, fmt.Errorf("%s: [%d].reason: %q convinces nobody: say why the finding is no fault", name, i, e.Reason)
		}
	}
	return list, nil
}

// Except drops the findings that an exception accepts, and adds one for every exception that accepts none: what it was written for has changed.
func Except(findings []Finding, exceptions []Exception) []Finding {
	var left []Finding
	used := make([]bool, len(exceptions))
	for _, f := range findings {
		i := slices.IndexFunc(exceptions, func(e Exception) bool {
			return e.Template == f.Template && e.Resource == f.Resource && e.Rule == f.Rule
		})
		if i < 0 {
			left = append(left, f)
			continue
		}
		used[i] = true
	}
	for i, e := range exceptions {
		if !used[i] {
			left = append(left, Finding{e.Template, e.Resource, "unused-exception", fmt.Sprintf("nothing breaks the rule %s any more; remove the exception", e.Rule), Files})
		}
	}
	return left
}
