package lifecycle

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// template is a parsed template. What may hold functions is kept as it was written.
type template struct {
	text string

	Parameters map[string]struct {
		Type    string
		Default any
	}
	Conditions map[string]any
	Resources  map[string]declaration
	Outputs    map[string]struct{ Value any }
}

type declaration struct {
	Type, Condition                     string
	DependsOn                           any
	DeletionPolicy, UpdateReplacePolicy string
	Properties                          map[string]any
}

// listOf returns a value as a list: AWS takes one element without brackets, too.
func listOf(value any) []any {
	list, is := value.([]any)
	if !is && value != nil {
		return []any{value}
	}
	return list
}

// readTemplate reads the template that a call gives, in itself or by its address. JSON is YAML.
func (s *Server) readTemplate(r *request) (*template, error) {
	text := []byte(r.Text("TemplateBody"))
	var err error
	if location := r.Text("TemplateURL"); location != "" {
		if text, err = s.object(location); err != nil {
			return nil, err
		}
	}
	var document map[string]any
	if err = yaml.Unmarshal(text, &document); err != nil {
		return nil, invalid("Template format error: YAML not well-formed. (%v)", err)
	}
	t := &template{text: string(text)}
	content, err := json.Marshal(document)
	if err == nil {
		err = json.Unmarshal(content, t)
	}
	if err != nil {
		return nil, invalid("Template format error: %v", err)
	}
	for id, d := range t.Resources {
		if s.spec[d.Type] == nil {
			return nil, invalid("Template format error: Unrecognized resource types: [%s] of %s", d.Type, id)
		}
	}
	return t, nil
}

// parameters gives each parameter its value: as it is given, and as the template sees it.
func (s *Server) parameters(t *template, given []object, previous map[string]string) (
	raw map[string]string, resolved map[string]any, err error) {
	raw, resolved = map[string]string{}, map[string]any{}
	for _, one := range given {
		key := fmt.Sprint(one["ParameterKey"])
		raw[key] = fmt.Sprint(one["ParameterValue"])
		if one["UsePreviousValue"] == "true" {
			raw[key] = previous[key]
		}
	}
	for key, declared := range t.Parameters {
		if _, has := raw[key]; !has {
			if declared.Default == nil {
				return nil, nil, invalid("Parameters: [%s] must have values", key)
			}
			raw[key] = fmt.Sprint(declared.Default)
		}
		switch declared.Type {
		case "String":
			resolved[key] = raw[key]
		case "CommaDelimitedList":
			list := []any{}
			for part := range strings.SplitSeq(raw[key], ",") {
				list = append(list, strings.TrimSpace(part))
			}
			resolved[key] = list
		case "AWS::SSM::Parameter::Value<String>":
			stored := s.find("AWS::SSM::Parameter", raw[key])
			if stored == nil {
				return nil, nil, invalid("Unable to fetch parameters [%s] from parameter store for this account.",
					raw[key])
			}
			resolved[key] = stored.properties["Value"]
		default:
			return nil, nil, invalid("the type %s of parameter %s is not understood", declared.Type, key)
		}
	}
	return raw, resolved, nil
}

// evaluator works out a stack's template and makes its resources: what a resource refers to is made
// first. After its first error, nothing that it returns counts.
type evaluator struct {
	server *Server
	stack  *stack
	made   map[string]*resource // nil while it is being made
	err    error
}

func (e *evaluator) fail(format string, arguments ...any) any {
	if e.err == nil {
		e.err = invalid(format, arguments...)
	}
	return nil
}

// resource returns a resource that the template declares, nil if its condition does not hold.
func (e *evaluator) resource(id string) *resource {
	d, declared := e.stack.deployed.template.Resources[id]
	if !declared || d.Condition != "" && !e.condition(d.Condition) {
		return nil
	}
	r, begun := e.made[id]
	if begun && r == nil {
		e.fail("Circular dependency between resources: [%s]", id)
	}
	if begun || e.err != nil {
		return r
	}
	e.made[id] = nil
	for _, other := range listOf(d.DependsOn) {
		e.resource(fmt.Sprint(other))
	}
	r = &resource{stack: e.stack.name, logicalID: id, kind: d.Type, declaration: d}
	r.properties, _ = e.value(d.Properties).(map[string]any)
	if e.err == nil {
		e.err = e.server.make(e.stack, r)
	}
	e.made[id] = r
	return r
}

// noValue stands for AWS::NoValue until it is taken out of what holds it.
type noValue struct{}

func (e *evaluator) value(value any) any {
	switch v := value.(type) {
	case []any:
		list := []any{}
		for _, item := range v {
			if one := e.value(item); one != (noValue{}) {
				list = append(list, one)
			}
		}
		return list
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				_, isText := argument.(string)
				if name == "Ref" || name == "Condition" && isText || strings.HasPrefix(name, "Fn::") {
					return e.call(name, argument)
				}
			}
		}
		object := map[string]any{}
		for key, item := range v {
			if one := e.value(item); one != (noValue{}) {
				object[key] = one
			}
		}
		return object
	}
	return value
}

func (e *evaluator) call(name string, argument any) any {
	list, _ := argument.([]any)
	switch {
	case name == "Ref":
		return e.ref(fmt.Sprint(argument))
	case name == "Fn::GetAtt" && len(list) == 2:
		return e.attribute(fmt.Sprint(list[0]), fmt.Sprint(list[1]))
	case name == "Fn::Sub" && list == nil:
		return e.sub(fmt.Sprint(argument))
	case name == "Condition":
		return e.condition(fmt.Sprint(argument))
	case name == "Fn::If" && len(list) == 3:
		if e.condition(fmt.Sprint(list[0])) {
			return e.value(list[1])
		}
		return e.value(list[2])
	}
	worked := e.value(argument)
	list, _ = worked.([]any)
	switch {
	case name == "Fn::Join" && len(list) == 2:
		var parts []string
		for _, part := range listOf(list[1]) {
			parts = append(parts, fmt.Sprint(part))
		}
		return strings.Join(parts, fmt.Sprint(list[0]))
	case name == "Fn::Select" && len(list) == 2:
		var index int
		items := listOf(list[1])
		if _, err := fmt.Sscan(fmt.Sprint(list[0]), &index); err != nil || index < 0 || index >= len(items) {
			return e.fail("Template error: Fn::Select cannot select nonexistent value at index %v", list[0])
		}
		return items[index]
	case name == "Fn::GetAZs":
		return []any{Region + "a", Region + "b", Region + "c"}
	case name == "Fn::Cidr" && len(list) == 3:
		count, _ := strconv.Atoi(fmt.Sprint(list[1]))
		blocks := make([]any, max(count, 0))
		for i := range blocks {
			blocks[i] = fmt.Sprintf("block %d of %v", i, list[0])
		}
		return blocks
	case name == "Fn::Equals" && len(list) == 2:
		return fmt.Sprint(list[0]) == fmt.Sprint(list[1])
	case name == "Fn::Not" && len(list) == 1:
		return list[0] != true
	case name == "Fn::And" && len(list) > 1:
		return !slices.Contains(list, any(false))
	case name == "Fn::GetStackOutput":
		return e.stackOutput(worked)
	}
	return e.fail("Template error: %s with %v is not understood", name, argument)
}

// pseudo are the pseudo parameters that are the same for all stacks.
var pseudo = map[string]any{
	"AWS::AccountId": Account, "AWS::Region": Region, "AWS::Partition": partition, "AWS::URLSuffix": "amazonaws.com",
	"AWS::NoValue": noValue{},
}

func (e *evaluator) ref(name string) any {
	if value, found := pseudo[name]; found {
		return value
	}
	if value, found := e.stack.deployed.resolved[name]; found {
		return value
	}
	if r := e.resource(name); r != nil {
		return r.id
	}
	return e.fail("Template format error: Unresolved resource dependencies [%s] in the template", name)
}

func (e *evaluator) attribute(name, attribute string) any {
	r := e.resource(name)
	if r == nil {
		return e.fail("Template error: instance of Fn::GetAtt references undefined resource %s", name)
	}
	kind := e.server.spec[r.kind]
	declared, known := kind.Attributes[attribute]
	given, isProperty := r.properties[attribute]
	switch {
	case !known:
		return e.fail("Template error: resource %s does not support attribute type %s in Fn::GetAtt", name, attribute)
	case isProperty:
		return given
	case declared.Type.Name == "array":
		return []any{r.id + "." + attribute}
	}
	return r.id + "." + attribute
}

var substitution = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

func (e *evaluator) sub(text string) any {
	text = substitution.ReplaceAllStringFunc(text, func(match string) string {
		name, attribute, dotted := strings.Cut(match[2:len(match)-1], ".")
		if dotted {
			return fmt.Sprint(e.attribute(name, attribute))
		}
		return fmt.Sprint(e.ref(name))
	})
	return strings.ReplaceAll(text, "${!", "${")
}

func (e *evaluator) condition(name string) bool {
	defined, found := e.stack.deployed.template.Conditions[name]
	if !found {
		e.fail("Template format error: Unresolved condition dependency %s", name)
	}
	return e.value(defined) == true
}

// stackOutput reads an output of another stack as it is now: the reference is weak.
func (e *evaluator) stackOutput(argument any) any {
	wanted, _ := argument.(map[string]any)
	if other := e.server.stack(fmt.Sprint(wanted["StackName"])); other != nil {
		if value, given := other.outputs[fmt.Sprint(wanted["OutputName"])]; given {
			return value
		}
	}
	return e.fail("Template error: Fn::GetStackOutput: no output %v of stack %v", wanted["OutputName"],
		wanted["StackName"])
}

// run makes all of the template's resources and works out its outputs.
func (e *evaluator) run() (outputs map[string]string, err error) {
	t, outputs := e.stack.deployed.template, map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		e.resource(id)
	}
	for key, output := range t.Outputs {
		outputs[key] = fmt.Sprint(e.value(output.Value))
	}
	return outputs, e.err
}
