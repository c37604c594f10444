package params

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// kind is a type of value: its name, its limits, and how a value is read.
type kind[T any] struct {
	name   string
	limits string // also the end of messages: "…; give <limits>"
	number bool   // whether JSON writes it as a number
	// read returns an error for everything that is wrong. Wrong items of a list are then zero.
	read func(path string, value any) (T, Errors)
}

// scalar makes a kind from a function that converts and checks one value; its error is the message.
func scalar[T any](name, limits string, convert func(value any) (T, error)) kind[T] {
	return kind[T]{name: name, limits: limits, read: func(path string, value any) (T, Errors) {
		v, err := convert(value)
		if err != nil {
			return v, Errors{{path, err.Error()}}
		}
		return v, nil
	}}
}

// text is a string that check accepts.
func text(limits string, check func(string) error) kind[string] {
	return scalar("string", limits, func(value any) (string, error) {
		s, ok := value.(string)
		if !ok {
			return "", fmt.Errorf("%s is not a string; put it in quotes", show(value))
		}
		err := check(s)
		if s == "" && err != nil {
			return "", fmt.Errorf("the text is empty; give %s", limits)
		}
		return s, err
	})
}

// choice is one of a few words.
func choice[T ~string](values ...T) kind[T] {
	limits := either(values)
	return scalar("string", limits, func(value any) (T, error) {
		s, _ := value.(string)
		if !slices.Contains(values, T(s)) {
			return "", fmt.Errorf("%s is not one of the choices; give %s", show(value), limits)
		}
		return T(s), nil
	})
}

// boolean is true or false.
func boolean() kind[bool] {
	const limits = "true or false"
	return scalar("boolean", limits, func(value any) (bool, error) {
		switch value {
		case true, "true":
			return true, nil
		case false, "false":
			return false, nil
		}
		return false, fmt.Errorf("%s is not a boolean; give %s", show(value), limits)
	})
}

// integer is a whole number from least to most. The reason, which may be empty, says why not more
// or less.
func integer(least, most int, reason string) kind[int] {
	limits := fmt.Sprintf("%d to %d", least, most)
	if reason != "" {
		limits += ", because " + reason
	}
	return number(limits, "out of range", func(n int) bool { return least <= n && n <= most })
}

// integerOf is one of a few numbers. The text offers describes them.
func integerOf(offers string, values ...int) kind[int] {
	return number(either(values), "not "+offers, func(n int) bool { return slices.Contains(values, n) })
}

// number is a whole number that fits, or else is what the text wrong says.
func number(limits, wrong string, fits func(n int) bool) kind[int] {
	k := scalar("integer", limits, func(value any) (int, error) {
		n, ok := whole(value)
		if !ok {
			return 0, fmt.Errorf("%s is not a whole number; give %s", show(value), limits)
		}
		if !fits(n) {
			return 0, fmt.Errorf("%d is %s; give %s", n, wrong, limits)
		}
		return n, nil
	})
	k.number = true
	return k
}

// whole reads a whole number: a JSON number without a fraction, or a string of plain digits as
// from the command line.
func whole(value any) (int, bool) {
	switch v := value.(type) {
	case int:
		return v, true
	case float64:
		// Beyond 2^53 a float64 no longer tells neighbouring whole numbers apart.
		return int(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	case string:
		n, err := strconv.Atoi(v)
		return n, err == nil && strconv.Itoa(n) == v // no sign, leading zero or underscore
	}
	return 0, false
}

// size is how many items a list may have. The reason, which may be empty, says why not more.
type size struct {
	least, most int
	reason      string
}

// clash says why two items cannot stand in one list, or "". The earlier one is item i of the list
// at the path.
type clash[E any] func(earlier, later E, path string, i int) string

// nested is the clash of items of which one holds the other.
func nested[E any](holds func(outer, inner E) bool) clash[E] {
	return func(earlier, later E, path string, i int) string {
		switch {
		case holds(earlier, later):
			return fmt.Sprintf("%v lies inside %v of %s[%d]; drop %v", later, earlier, path, i, later)
		case holds(later, earlier):
			return fmt.Sprintf("%v contains %v of %s[%d]; drop %v", later, earlier, path, i, earlier)
		}
		return ""
	}
}

// list is a list of items, from a JSON list or from a string with commas between the items. Equal
// items always clash. clash may be nil.
func list[E comparable](item kind[E], limits string, n size, clash clash[E]) kind[[]E] {
	read := func(path string, value any) ([]E, Errors) {
		elements, typed, err := split(value, item.number)
		if err != nil {
			return nil, Errors{{path, err.Error()}}
		}
		if len(elements) < n.least {
			return nil, Errors{{path, fmt.Sprintf("the list is empty; give at least %d", n.least)}}
		}
		if len(elements) > n.most {
			message := fmt.Sprintf("%d items are too many; give at most %d", len(elements), n.most)
			if n.reason != "" {
				message += ", because " + n.reason
			}
			return nil, Errors{{path, message}}
		}
		var errs Errors
		items := make([]E, len(elements)) // a wrong item stays zero, so that the others keep their places
		right := make([]int, 0, len(elements))
		for i, element := range elements {
			v, err := readItem(item, at(path, i), element, typed)
			if len(err) == 0 {
				err = clashes(path, items, right, i, v, clash)
				items[i], right = v, append(right, i)
			}
			errs = append(errs, err...)
		}
		return items, errs
	}
	return kind[[]E]{name: "list of " + item.name + "s", limits: limits, read: read}
}

// readItem reads one item of a list. Numbers are strings only where the whole list was typed as
// one.
func readItem[E any](item kind[E], path string, element any, typed bool) (v E, errs Errors) {
	s, ok := element.(string)
	if ok && typed && s == "" {
		return v, Errors{{path, "there is nothing between the commas; drop one of them"}}
	}
	if ok && !typed && item.number {
		return v, Errors{{path, show(s) + " is a string; in a JSON list write the number without quotes"}}
	}
	return item.read(path, element)
}

// clashes says why item i, of value v, cannot stand in one list with the earlier right items.
func clashes[E comparable](path string, items []E, right []int, i int, v E, clash clash[E]) Errors {
	for _, j := range right {
		var message string
		if v == items[j] {
			message = fmt.Sprintf("%v is the same as %s[%d]; drop one of the two", v, path, j)
		} else if clash != nil {
			message = clash(items[j], v, path, j)
		}
		if message != "" {
			return Errors{{at(path, i), message}}
		}
	}
	return nil
}

// split takes a list's value apart without reading the items. It returns typed if the value was
// one string, as from the command line. Where items are numbers, a lone number is a list of one.
func split(value any, numbers bool) (elements []any, typed bool, err error) {
	switch v := value.(type) {
	case []any:
		return v, false, nil
	case string:
		v = strings.TrimSpace(v)
		if v == "" {
			return nil, true, nil
		}
		if strings.HasPrefix(v, "[") {
			return nil, true, fmt.Errorf("%s is a JSON list inside a string; "+
				"write the items with commas between them, without brackets and quotes", show(v))
		}
		for element := range strings.SplitSeq(v, ",") {
			elements = append(elements, strings.TrimSpace(element))
		}
		return elements, true, nil
	case int, float64:
		if numbers {
			return []any{v}, false, nil
		}
	}
	return nil, false, fmt.Errorf("%s is not a list; give a JSON list, or one string with commas between the items",
		show(value))
}

// show returns a value as a message shows it: as JSON, cut when it is long.
func show(value any) string {
	const most = 60
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprintf("%v", value) // NaN, or no JSON value at all
	}
	shown := []rune(strings.TrimSuffix(b.String(), "\n"))
	if len(shown) > most {
		return string(shown[:most]) + "…"
	}
	return string(shown)
}

// words writes each of some values.
func words[T any](values []T) (all []string) {
	for _, v := range values {
		all = append(all, fmt.Sprint(v))
	}
	return all
}

// either returns "a, b or c".
func either[T any](values []T) string {
	all := words(values)
	last := len(all) - 1
	if last < 1 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:last], ", ") + " or " + all[last]
}
