package awsstandin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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

// declaration is a resource as a template declares it.
type declaration struct {
	Type, Condition                     string
	DependsOn                           any
	DeletionPolicy, UpdateReplacePolicy string
	Properties                          map[string]any
}

func (d declaration) dependsOn() []string {
	var all []string
	if d.DependsOn != nil {
		for _, one := range listOf(d.DependsOn) {
			all = append(all, fmt.Sprint(one))
		}
	}
	return all
}

// readTemplate reads the template that a call gives, in itself or by its address.
func (s *Server) readTemplate(r *request) (*template, error) {
	text := r.text("TemplateBody")
	if location := r.text("TemplateURL"); location != "" {
		content, err := s.object(location)
		if err != nil {
			return nil, err
		}
		text = string(content)
	}
	t := &template{text: text}
	// JSON is YAML. A date stays the text it is, because a policy's version looks like one.
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil || len(document.Content) != 1 {
		return nil, invalid("Template format error: YAML not well-formed. (%v)", err)
	}
	value, err := plain(document.Content[0])
	if err != nil {
		return nil, invalid("Template format error: %v", err)
	}
	content, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, t); err != nil {
		return nil, invalid("Template format error: %v", err)
	}
	for id, d := range t.Resources {
		if s.spec[d.Type] == nil {
			return nil, invalid("Template format error: Unrecognized resource types: [%s] of %s", d.Type, id)
		}
	}
	return t, nil
}

// plain turns YAML into what the same template would be in JSON.
func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			value, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			object[n.Content[i].Value] = value
		}
		return object, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			value, err := plain(item)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.ScalarNode:
		switch n.Tag {
		case "!!str", "!!timestamp":
			return n.Value, nil
		case "!!int", "!!float", "!!bool", "!!null":
			var value any
			return value, n.Decode(&value)
		}
	}
	return nil, fmt.Errorf("line %d: %s is not understood", n.Line, n.Tag)
}

// waves sorts the resources by what they refer to: each wave needs the ones before it and nothing
// else.
func (t *template) waves() ([][]string, error) {
	needs := map[string][]string{}
	for id, d := range t.Resources {
		needs[id] = d.dependsOn()
		visitReferences(d.Properties, func(name string) {
			if _, resource := t.Resources[name]; resource {
				needs[id] = append(needs[id], name)
			}
		})
	}
	var waves [][]string
	done := map[string]bool{}
	for len(done) < len(t.Resources) {
		var wave []string
		for _, id := range slices.Sorted(maps.Keys(needs)) {
			if !done[id] && !slices.ContainsFunc(needs[id], func(other string) bool { return !done[other] }) {
				wave = append(wave, id)
			}
		}
		if len(wave) == 0 {
			left := slices.DeleteFunc(slices.Sorted(maps.Keys(needs)), func(id string) bool { return done[id] })
			return nil, invalid("Circular or unresolved dependency between resources: [%s]", strings.Join(left, ", "))
		}
		for _, id := range wave {
			done[id] = true
		}
		waves = append(waves, wave)
	}
	return waves, nil
}

const ssmType = "AWS::SSM::Parameter::Value<String>"

// readParameters gives each parameter of the template its value.
func (s *Server) readParameters(
	t *template, given []map[string]string, previous map[string]string,
) (raw map[string]string, resolved map[string]any, err error) {
	raw, resolved = map[string]string{}, map[string]any{}
	for _, one := range given {
		key := one["ParameterKey"]
		raw[key] = one["ParameterValue"]
		if one["UsePreviousValue"] == "true" {
			raw[key] = previous[key]
		}
		if _, declared := t.Parameters[key]; !declared {
			return nil, nil, invalid("Parameters: [%s] do not exist in the template", key)
		}
	}
	for key, declared := range t.Parameters {
		if _, has := raw[key]; !has {
			if declared.Default == nil {
				return nil, nil, invalid("Parameters: [%s] must have values", key)
			}
			raw[key] = fmt.Sprint(declared.Default)
		}
		value := raw[key]
		switch declared.Type {
		case "String":
			resolved[key] = value
		case "CommaDelimitedList":
			list := []any{}
			for part := range strings.SplitSeq(value, ",") {
				list = append(list, strings.TrimSpace(part))
			}
			resolved[key] = list
		case ssmType:
			stored := s.find("AWS::SSM::Parameter", value)
			if stored == nil {
				return nil, nil, invalid("Unable to fetch parameters [%s] from parameter store for this account.",
					value)
			}
			resolved[key] = stored.properties["Value"]
		default:
			return nil, nil, invalid("the type %s of parameter %s is not understood", declared.Type, key)
		}
	}
	return raw, resolved, nil
}
