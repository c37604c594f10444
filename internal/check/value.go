package check

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A template's values are compared in a canonical form, in which it does not matter how something was written: a tree of map[string]any, []any and string. Numbers and booleans are
// strings, as they are to CloudFormation. References are strings too, or parts of one: ⟨stack/id⟩ for a Ref, ⟨stack/id.attribute⟩ for a GetAtt and ⟨AWS::Region⟩ for a pseudo
// parameter, whether they come by themselves, in a Join, in a Sub or through another stack's output. Other intrinsic functions stay what they are.
const (
	opening = "⟨"
	closing = "⟩"
)

// reference matches a reference inside a canonical string. A bracket that was in the template is marked, so that nothing else passes for a reference.
var reference = regexp.MustCompile(opening + `([^⟨⟩!]+)` + closing)

// marked is an opening bracket that was in the template.
const marked = opening + "!"

// references returns what a canonical string refers to, without the brackets.
func references(s string) []string {
	var all []string
	for _, m := range reference.FindAllStringSubmatch(s, -1) {
		all = append(all, m[1])
	}
	return all
}

func literal(s string) string {
	return strings.ReplaceAll(s, opening, marked)
}

// resolver puts the values of one stack into canonical form.
type resolver struct {
	assembly *Assembly
	stack    *Stack
	// broken receives what cannot be resolved.
	broken func(format string, args ...any)
	// depth bounds the way from output to output.
	depth int
}

func (r resolver) value(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			for function, argument := range v {
				if function == "Ref" || strings.HasPrefix(function, "Fn::") || function == "Condition" {
					return r.function(function, argument)
				}
			}
		}
		tree := make(map[string]any, len(v))
		for key, value := range v {
			tree[key] = r.value(value)
		}
		return tree
	case []any:
		list := make([]any, 0, len(v))
		for _, value := range v {
			list = append(list, r.value(value))
		}
		return list
	case string:
		return literal(v)
	}
	return scalar(v)
}

// scalar is the canonical form of a number, a boolean or null.
func scalar(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func (r resolver) function(name string, argument any) any {
	unresolved := func(format string, args ...any) any {
		r.broken(name+": "+format, args...)
		return map[string]any{name: r.value(argument)}
	}
	switch name {
	case "Ref":
		target, ok := argument.(string)
		if !ok {
			return unresolved("names nothing")
		}
		return r.reference(target, "")
	case "Fn::GetAtt":
		target, attribute := getAtt(argument)
		if target == "" || attribute == "" {
			return unresolved("names no attribute")
		}
		return r.reference(target, attribute)
	case "Fn::Join":
		if parts, ok := argument.([]any); ok && len(parts) == 2 {
			separator, ok := parts[0].(string)
			if texts, all := textsOf(r.value(parts[1])); ok && all {
				return strings.Join(texts, literal(separator))
			}
		}
		return unresolved("does not join strings")
	case "Fn::Sub":
		return r.substitute(argument, unresolved)
	case "Fn::GetStackOutput":
		return r.stackOutput(argument, unresolved)
	case "Fn::ImportValue":
		return r.importedValue(argument, unresolved)
	case "Fn::Select", "Fn::GetAZs", "Fn::Cidr":
		return map[string]any{name: r.value(argument)}
	}
	return unresolved("is not a function that a fleet's template needs")
}

// textsOf returns a canonical list as strings, and whether it is one.
func textsOf(v any) ([]string, bool) {
	list, ok := v.([]any)
	var texts []string
	for _, item := range list {
		text, isText := item.(string)
		texts, ok = append(texts, text), ok && isText
	}
	return texts, ok
}

func getAtt(argument any) (target, attribute string) {
	switch a := argument.(type) {
	case string:
		target, attribute, _ = strings.Cut(a, ".")
	case []any:
		if len(a) == 2 {
			target, _ = a[0].(string)
			attribute, _ = a[1].(string)
		}
	}
	return target, attribute
}

// pseudo are CloudFormation's own parameters that mean something to a fleet.
var pseudo = []string{"AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::URLSuffix"}

// reference resolves a Ref, or with an attribute a GetAtt, in the resolver's stack.
func (r resolver) reference(target, attribute string) any {
	if slices.Contains(pseudo, target) && attribute == "" {
		return r.pseudo(target)
	}
	resource, there := r.stack.section("Resources")[target]
	if _, isResource := resource.(map[string]any); !there || !isResource {
		if _, parameter := r.stack.section("Parameters")[target]; !parameter || attribute != "" {
			r.broken("%q is no resource of the template", target)
		}
	}
	if attribute != "" {
		attribute = "." + attribute
	}
	return opening + r.stack.Name + "/" + target + attribute + closing
}

// pseudo resolves a pseudo parameter as far as the stack's environment tells it; the CDK writes some of them out when it knows them.
func (r resolver) pseudo(name string) string {
	china := strings.HasPrefix(r.stack.Region, "cn-")
	switch {
	case name == "AWS::AccountId" && r.stack.Account != "":
		return r.stack.Account
	case name == "AWS::Region" && r.stack.Region != "":
		return r.stack.Region
	case name == "AWS::Partition" && china:
		return "aws-cn"
	case name == "AWS::Partition" && strings.HasPrefix(r.stack.Region, "us-gov-"):
		return "aws-us-gov"
	case name == "AWS::Partition" && r.stack.Region != "":
		return "aws"
	case name == "AWS::URLSuffix" && china:
		return "amazonaws.com.cn"
	case name == "AWS::URLSuffix" && r.stack.Region != "":
		return "amazonaws.com"
	}
	return opening + name + closing
}

var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

func (r resolver) substitute(argument any, unresolved func(string, ...any) any) any {
	template, own := "", map[string]any{}
	switch a := argument.(type) {
	case string:
		template = a
	case []any:
		if len(a) == 2 {
			template, _ = a[0].(string)
			own, _ = a[1].(map[string]any)
		}
	}
	if template == "" {
		return unresolved("has no text")
	}
	var text strings.Builder
	end := 0
	for _, m := range variable.FindAllStringSubmatchIndex(template, -1) {
		text.WriteString(literal(template[end:m[0]]))
		end = m[1]
		name := template[m[2]:m[3]]
		if strings.HasPrefix(name, "!") {
			text.WriteString(literal("${" + name[1:] + "}"))
			continue
		}
		value, given := own[name]
		var resolved any
		if given {
			resolved = r.value(value)
		} else {
			target, attribute, _ := strings.Cut(name, ".")
			resolved = r.reference(target, attribute)
		}
		part, ok := resolved.(string)
		if !ok {
			return unresolved("%q is no string", name)
		}
		text.WriteString(part)
	}
	text.WriteString(literal(template[end:]))
	return text.String()
}

// farthest is how many stacks a value may come through.
const farthest = 5

func (r resolver) output(stack, output string, unresolved func(string, ...any) any) any {
	other := r.assembly.stack(stack)
	if other == nil || other == r.stack || r.depth >= farthest {
		return unresolved("there is no other stack %q", stack)
	}
	if !slices.Contains(r.stack.After, stack) {
		r.broken("the manifest does not say that %s is deployed after %s, whose output %s it needs", r.stack.Name, stack, output)
	}
	o, ok := other.section("Outputs")[output].(map[string]any)
	if !ok {
		return unresolved("stack %q has no output %q", stack, output)
	}
	return resolver{r.assembly, other, r.broken, r.depth + 1}.value(o["Value"])
}

func (r resolver) stackOutput(argument any, unresolved func(string, ...any) any) any {
	a, _ := argument.(map[string]any)
	stack, _ := a["StackName"].(string)
	output, _ := a["OutputName"].(string)
	for key := range a {
		if !slices.Contains([]string{"StackName", "OutputName", "Region"}, key) {
			return unresolved("%s is not expected", key)
		}
	}
	if r.value(a["Region"]) != r.pseudo("AWS::Region") {
		return unresolved("Region is not the stack's own")
	}
	return r.output(stack, output, unresolved)
}

func (r resolver) importedValue(argument any, unresolved func(string, ...any) any) any {
	name := r.value(argument)
	for _, s := range r.assembly.Stacks {
		for id, o := range s.section("Outputs") {
			o, _ := o.(map[string]any)
			export, _ := o["Export"].(map[string]any)
			if export != nil && (resolver{r.assembly, s, r.broken, r.depth + 1}).value(export["Name"]) == name {
				return r.output(s.Name, id, unresolved)
			}
		}
	}
	return unresolved("no stack exports %v", name)
}

func (a *Assembly) stack(name string) *Stack {
	for _, s := range a.Stacks {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// section returns a section of the template, empty if it is not there.
func (s *Stack) section(name string) map[string]any {
	section, _ := s.Raw[name].(map[string]any)
	return section
}

// show writes a canonical value for a message, on one line and not too long.
func show(v any) string {
	if text, ok := v.(string); ok {
		v = strings.ReplaceAll(text, marked, opening)
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	text := []rune(strings.TrimSuffix(b.String(), "\n"))
	const most = 160
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}
