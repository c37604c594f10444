package check

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Templates are judged in a canonical form: a tree of map[string]any, []any and string. Numbers and
// booleans are strings. A list of names with values is a map. References are strings too, or parts
// of one: ⟨id⟩ for a Ref, ⟨id.attribute⟩ for a GetAtt and ⟨AWS::Region⟩ for a pseudo parameter,
// alone, in a Join, in a Sub or through the output of the fleet's other stack. Other functions stay
// what they are.

// resource is a resource of a template, or a part of an assembly that is judged like one.
type resource struct {
	id, file, kind    string
	whole, properties any            // canonical
	raw               map[string]any // properties
}

func (r *resource) ref() string                 { return "⟨" + r.id + "⟩" }
func (r *resource) att(attribute string) string { return "⟨" + r.id + "." + attribute + "⟩" }

// values are those at a path of the properties or, if there is none, of the whole resource.
func (r *resource) values(path string) []any {
	if found := values(r.properties, path); slices.ContainsFunc(found, func(v any) bool { return v != nil }) {
		return found
	}
	return values(r.whole, path)
}

func (r *resource) value(path string) any   { return r.values(path)[0] }
func (r *resource) text(path string) string { return text(r.value(path)) }

// wrong is a finding about the resource.
func (r *resource) wrong(format string, arguments ...any) *Finding {
	return &Finding{File: r.file, Message: r.id + ": " + fmt.Sprintf(format, arguments...)}
}

func text(v any) string {
	text, _ := v.(string)
	return text
}

// number returns a canonical number, or 0.
func number(v any) int {
	n, _ := strconv.Atoi(text(v))
	return n
}

// texts returns strings as they are, shows other values, and leaves out what is missing.
func texts(all []any) (shown []string) {
	for _, v := range all {
		if s, ok := v.(string); ok {
			shown = append(shown, s)
		} else if v != nil {
			shown = append(shown, show(v))
		}
	}
	return shown
}

// values returns what is at a path below a value, nil where the way ends: one value at least. Steps
// are names, and numbers of items, with dots between; "*" is each item, and a single text as well.
// The last step may be a name with dots.
func values(v any, path string) (found []any) {
	if path == "" {
		return []any{v}
	}
	step, rest, _ := strings.Cut(path, ".")
	switch tree := v.(type) {
	case map[string]any:
		if whole, ok := tree[path]; ok {
			return []any{whole}
		}
		if step != "*" {
			return values(tree[step], rest)
		}
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			found = append(found, values(tree[key], rest)...)
		}
	case []any:
		for i, item := range tree {
			if step == "*" || step == strconv.Itoa(i) {
				found = append(found, values(item, rest)...)
			}
		}
	case string:
		if step == "*" {
			return values(v, rest)
		}
	}
	if found == nil {
		return []any{nil}
	}
	return found
}

// at returns the value at a path without "*".
func at(v any, path string) any { return values(v, path)[0] }

func (a *Assembly) canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		tree := make(map[string]any, len(v))
		for key, value := range v {
			if text, ok := a.function(key, value); ok && len(v) == 1 {
				return text
			}
			tree[key] = a.canonical(value)
		}
		return tree
	case []any:
		items, named := make([]any, 0, len(v)), map[string]any{}
		for _, value := range v {
			item := a.canonical(value)
			items = append(items, item)
			if pair, _ := item.(map[string]any); len(pair) == 2 {
				if name := cmp.Or(pair["Name"], pair["Key"]); name != nil {
					named[fmt.Sprint(name)] = cmp.Or(pair["Value"], pair["ValueFrom"])
				}
			}
		}
		if len(items) > 0 && len(named) == len(items) {
			return named
		}
		return items
	case string:
		return strings.ReplaceAll(v, "⟨", "⟨!") // what looks like a reference is none
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
		return nil
	}
	return fmt.Sprint(v)
}

var placeholder = regexp.MustCompile(`\$\{([\w.:]+)\}`)

// sub replaces the placeholders of Fn::Sub, which are those of asset manifests too.
func sub(text string) string { return placeholder.ReplaceAllString(text, "⟨$1⟩") }

// function returns the canonical form of a function that makes a text, and whether it is one.
func (a *Assembly) function(name string, argument any) (any, bool) {
	items, _ := argument.([]any)
	switch {
	case name == "Ref":
		return fmt.Sprintf("⟨%v⟩", argument), true
	case name == "Fn::GetAtt" && len(items) == 2:
		return fmt.Sprintf("⟨%v.%v⟩", items[0], items[1]), true
	case name == "Fn::Sub" && items == nil:
		return sub(text(argument)), true
	case name == "Fn::Join" && len(items) == 2:
		return strings.Join(texts(values(a.canonical(items[1]), "*")), text(items[0])), true
	case name == "Fn::GetStackOutput":
		stack, output := a.raw[text(at(argument, "StackName"))], text(at(argument, "OutputName"))
		if ref := at(stack["Outputs"], output+".Value.Ref"); ref != nil { // none refers to another stack
			return fmt.Sprintf("⟨%v⟩", ref), true
		}
	}
	return nil, false
}

// all returns the resources of a type.
func (a *Assembly) all(kind string) []*resource {
	return slices.DeleteFunc(slices.Clone(a.resources), func(r *resource) bool { return r.kind != kind })
}

// references are those to the resources of a type.
func (a *Assembly) references(kind string) (all []string) {
	for _, r := range a.all(kind) {
		all = append(all, r.ref())
	}
	return all
}

// one returns the first resource of a type, or an empty one.
func (a *Assembly) one(kind string) *resource { return append(a.all(kind), &resource{})[0] }

// texts returns what is at a path of the resources of a type, each value once.
func (a *Assembly) texts(kind, path string) (found []string) {
	for _, r := range a.all(kind) {
		for _, v := range texts(r.values(path)) {
			if !slices.Contains(found, v) {
				found = append(found, v)
			}
		}
	}
	return found
}

// referred returns the resource that a text is a reference to, or one that has no type.
func (a *Assembly) referred(reference string) *resource {
	id, _, _ := strings.Cut(strings.Trim(reference, "⟨⟩"), ".")
	for _, r := range a.resources {
		if r.id == id && strings.HasPrefix(reference, "⟨") {
			return r
		}
	}
	return &resource{id: reference}
}
