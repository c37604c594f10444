package check

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Templates are judged in a canonical form: a tree of map[string]any, []any and string. Numbers and
// booleans are strings. References are strings too, or parts of one: ⟨id⟩ for a Ref,
// ⟨id.attribute⟩ for a GetAtt and ⟨AWS::Region⟩ for a pseudo parameter, alone, in a Join, in a Sub
// or through the output of the fleet's other stack. Other functions stay what they are.

// resource is a resource of a template.
type resource struct {
	id, stack, file, kind string
	raw                   map[string]any // its properties
	whole, properties     any            // canonical
}

func (r *resource) ref() string                 { return "⟨" + r.id + "⟩" }
func (r *resource) att(attribute string) string { return "⟨" + r.id + "." + attribute + "⟩" }
func (r *resource) value(path string) any       { return at(r.properties, path) }
func (r *resource) text(path string) string     { return text(r.value(path)) }
func (r *resource) list(path string) []any      { return list(r.value(path)) }

// number returns a canonical number, or 0.
func number(v any) int {
	n, _ := strconv.Atoi(text(v))
	return n
}

func text(v any) string {
	text, _ := v.(string)
	return text
}

// list returns a list as it is, and a single value as a list of one.
func list(v any) []any {
	if items, ok := v.([]any); ok || v == nil {
		return items
	}
	return []any{v}
}

// texts returns the strings of a list; what is no string shows as what it is.
func texts(v any) (all []string) {
	for _, item := range list(v) {
		if s, ok := item.(string); ok {
			all = append(all, s)
		} else {
			all = append(all, show(item))
		}
	}
	return all
}

// at walks into a value; it returns nil where the way ends. Steps are names and numbers of
// items, with dots between. The last may be a name with dots, or the Key or Name of an item,
// whose Value or ValueFrom counts.
func at(v any, path string) any {
	if path == "" {
		return v
	}
	step, rest, _ := strings.Cut(path, ".")
	switch tree := v.(type) {
	case map[string]any:
		if whole, ok := tree[path]; ok {
			return whole
		}
		return at(tree[step], rest)
	case []any:
		if i, err := strconv.Atoi(step); err == nil && i < len(tree) {
			return at(tree[i], rest)
		}
		return pairs(v)[path]
	}
	return nil
}

// pairs returns a list of pairs as a map.
func pairs(v any) map[string]any {
	all := map[string]any{}
	for _, item := range list(v) {
		if key := cmp.Or(at(item, "Name"), at(item, "Key")); key != nil {
			all[fmt.Sprint(key)] = cmp.Or(at(item, "Value"), at(item, "ValueFrom"))
		}
	}
	return all
}

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
		items := make([]any, 0, len(v))
		for _, value := range v {
			items = append(items, a.canonical(value))
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
	items := list(argument)
	switch {
	case name == "Ref":
		return fmt.Sprintf("⟨%v⟩", argument), true
	case name == "Fn::GetAtt" && len(items) == 2:
		return fmt.Sprintf("⟨%v.%v⟩", items[0], items[1]), true
	case name == "Fn::Sub" && len(items) == 1:
		return sub(text(items[0])), true
	case name == "Fn::Join" && len(items) == 2:
		return strings.Join(texts(a.canonical(items[1])), text(items[0])), true
	case name == "Fn::GetStackOutput":
		stack := a.raw[text(at(argument, "StackName"))]
		value := at(stack["Outputs"], text(at(argument, "OutputName"))+".Value")
		if ref := at(value, "Ref"); ref != nil { // no output of a fleet's refers to another stack
			return fmt.Sprintf("⟨%v⟩", ref), true
		}
	}
	return nil, false
}

// all returns the resources of a type.
func (a *Assembly) all(kind string) []*resource {
	return slices.DeleteFunc(slices.Clone(a.resources), func(r *resource) bool { return r.kind != kind })
}

// referred returns the resource that a canonical value is a reference to, or one that has no
// type.
func (a *Assembly) referred(v any) *resource {
	id, _, _ := strings.Cut(strings.Trim(text(v), "⟨⟩"), ".")
	for _, r := range a.resources {
		if r.id == id && strings.HasPrefix(text(v), "⟨"+id) {
			return r
		}
	}
	return &resource{id: show(v), file: a.file(a.Name)}
}
