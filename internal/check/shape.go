package check

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// object, list and set are what a canonical value should be; their leaves are strings, numbers, booleans or matchers.
type (
	// object is closed: a key that it does not have must not be there.
	object map[string]any
	list   []any
	// set is a list whose order means nothing.
	set []any
	// optional need not be there; if it is, the value has to match.
	optional struct{ want any }
	// matcher says what is wrong with a value; "" means nothing.
	matcher func(got any) string
)

// difference is a place where a value is not what it should be.
type difference struct{ path, message string }

// differences compares a canonical value with what it should be.
func differences(path string, got, want any) []difference {
	one := func(format string, args ...any) []difference {
		return []difference{{path, fmt.Sprintf(format, args...)}}
	}
	switch want := want.(type) {
	case matcher:
		if problem := want(got); problem != "" {
			return one("%s", problem)
		}
		return nil
	case optional:
		return differences(path, got, want.want)
	case object:
		tree, ok := got.(map[string]any)
		if !ok {
			return one("is %s, want an object", show(got))
		}
		return objectDifferences(path, tree, want)
	case list:
		items, ok := got.([]any)
		if !ok || len(items) != len(want) {
			return one("is %s, want %d items: %s", show(got), len(want), wanted(want))
		}
		var all []difference
		for i := range want {
			all = append(all, differences(fmt.Sprintf("%s[%d]", path, i), items[i], want[i])...)
		}
		return all
	case set:
		return setDifferences(path, got, want)
	default:
		if text := fmt.Sprint(want); got != text {
			return one("is %s, want %s", show(got), show(text))
		}
		return nil
	}
}

func objectDifferences(path string, got map[string]any, want object) []difference {
	var all []difference
	for _, key := range slices.Sorted(maps.Keys(want)) {
		value, there := got[key]
		if _, may := want[key].(optional); !there && may {
			continue
		}
		below := strings.TrimPrefix(path+"."+key, ".")
		if !there {
			all = append(all, difference{below, "is missing, want " + wanted(want[key])})
			continue
		}
		all = append(all, differences(below, value, want[key])...)
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, known := want[key]; !known {
			all = append(all, difference{strings.TrimPrefix(path+"."+key, "."), fmt.Sprintf("is %s, want it left out", show(got[key]))})
		}
	}
	return all
}

// setDifferences pairs what matches, and tells the rest.
func setDifferences(path string, got any, want set) []difference {
	items, ok := got.([]any)
	if !ok {
		return []difference{{path, fmt.Sprintf("is %s, want a list", show(got))}}
	}
	items = slices.Clone(items)
	var all []difference
	for _, w := range want {
		i := slices.IndexFunc(items, func(item any) bool { return len(differences("", item, w)) == 0 })
		if i < 0 {
			all = append(all, difference{path, "lacks " + wanted(w)})
			continue
		}
		items = slices.Delete(items, i, i+1)
	}
	for _, item := range items {
		all = append(all, difference{path, fmt.Sprintf("has %s, want it left out", show(item))})
	}
	return all
}

// wanted describes what a value should be.
func wanted(want any) string {
	switch want := want.(type) {
	case optional:
		return wanted(want.want)
	case matcher:
		_, description, _ := strings.Cut(want(nil), "want ")
		return description
	case object:
		parts := make([]string, 0, len(want))
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if _, may := want[key].(optional); !may {
				parts = append(parts, key+": "+wanted(want[key]))
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case list:
		return wanted(set(want))
	case set:
		parts := make([]string, 0, len(want))
		for _, w := range want {
			parts = append(parts, wanted(w))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return show(fmt.Sprint(want))
}

// text is any text of somebody's own choice. It is for people, so that a reference has no place in it.
var text = matcher(func(got any) string {
	if s, ok := got.(string); !ok || strings.TrimSpace(s) == "" || len(references(s)) > 0 {
		return fmt.Sprintf("is %s, want a text", show(got))
	}
	return ""
})

// between is a whole number from least to most.
func between(least, most int) matcher {
	return func(got any) string {
		s, _ := got.(string)
		if n, err := strconv.Atoi(s); err != nil || n < least || n > most {
			return fmt.Sprintf("is %s, want %d to %d", show(got), least, most)
		}
		return ""
	}
}

// pattern is a text of a form.
func pattern(form string) matcher {
	compiled := regexp.MustCompile(`^(?:` + form + `)$`)
	return func(got any) string {
		if s, ok := got.(string); !ok || !compiled.MatchString(s) {
			return fmt.Sprintf("is %s, want %s", show(got), form)
		}
		return ""
	}
}

// pairs is a list of objects with Key and Value, each key once, in any order.
func pairs(key, value string, want map[string]any) set {
	var all set
	for _, k := range slices.Sorted(maps.Keys(want)) {
		all = append(all, object{key: k, value: want[k]})
	}
	return all
}
