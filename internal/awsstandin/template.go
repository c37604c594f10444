package awsstandin

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"squidfleet/internal/cfnspec"
)

// CloudFormation's limits on templates: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const (
	maxTemplateInCall   = 51200
	maxTemplateByURL    = 1 << 20
	maxResources        = 500
	maxParameters       = 200
	maxOutputs          = 200
	maxDescriptionBytes = 1024
)

// template is a parsed template. What may hold functions is kept as it was written.
type template struct {
	text string

	AWSTemplateFormatVersion string
	Description              string
	Metadata                 any
	Parameters               map[string]parameter
	Rules                    map[string]struct {
		RuleCondition any
		Assertions    []struct {
			Assert            any
			AssertDescription string
		}
	}
	Conditions map[string]any
	Resources  map[string]declaration
	Outputs    map[string]output
}

type parameter struct {
	Type, Description, AllowedPattern, ConstraintDescription string
	Default                                                  any
	AllowedValues                                            []any
	NoEcho                                                   any
}

// declaration is a resource as a template declares it.
type declaration struct {
	Type                                string
	Condition                           string
	DependsOn                           any
	DeletionPolicy, UpdateReplacePolicy string
	Properties                          map[string]any
	Metadata                            any
}

type output struct {
	Description string
	Value       any
	Export      *struct{ Name any }
	Condition   string
}

func (d declaration) dependsOn() []string {
	switch list := d.DependsOn.(type) {
	case string:
		return []string{list}
	case []any:
		var all []string
		for _, one := range list {
			all = append(all, fmt.Sprint(one))
		}
		return all
	}
	return nil
}

// parseTemplate reads JSON or YAML and refuses what CloudFormation would before it looks at any parameter.
func parseTemplate(spec cfnspec.Spec, text string) (*template, error) {
	content := []byte(text)
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		var document yaml.Node
		if err := yaml.Unmarshal(content, &document); err != nil || len(document.Content) != 1 {
			return nil, invalid("Template format error: YAML not well-formed. (%v)", err)
		}
		value, err := plain(document.Content[0])
		if err != nil {
			return nil, invalid("Template format error: %v", err)
		}
		if content, err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	t := &template{text: text}
	decoder := json.NewDecoder(strings.NewReader(string(content)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(t); err != nil {
		return nil, invalid("Template format error: %v", err)
	}
	return t, t.check(spec)
}

// plain turns YAML into what the same template would be in JSON. A date stays the text it is, because a policy's version looks like one.
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

var logicalID = regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`)

func (t *template) check(spec cfnspec.Spec) error {
	switch {
	case len(t.Resources) == 0:
		return invalid("Template format error: At least one Resources member must be defined.")
	case len(t.Resources) > maxResources:
		return invalid("Template format error: Number of resources, %d, is greater than maximum allowed, %d", len(t.Resources), maxResources)
	case len(t.Parameters) > maxParameters:
		return invalid("Template format error: Number of parameters, %d, is greater than maximum allowed, %d", len(t.Parameters), maxParameters)
	case len(t.Outputs) > maxOutputs:
		return invalid("Template format error: Number of outputs, %d, is greater than maximum allowed, %d", len(t.Outputs), maxOutputs)
	case len(t.Description) > maxDescriptionBytes:
		return invalid("Template format error: 'Description' length is greater than %d.", maxDescriptionBytes)
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		if err := t.checkResource(spec, id); err != nil {
			return err
		}
	}
	for id, o := range t.Outputs {
		if !logicalID.MatchString(id) || o.Value == nil {
			return invalid("Template format error: Output %s is malformed. Output name must be alphanumeric and have a value.", id)
		}
		if err := t.checkReferences(spec, "the Outputs block", []any{o.Value, o.Export}); err != nil {
			return err
		}
	}
	_, err := t.waves()
	return err
}

func (t *template) checkResource(spec cfnspec.Spec, id string) error {
	d := t.Resources[id]
	kind := spec[d.Type]
	switch {
	case !logicalID.MatchString(id):
		return invalid("Template format error: Resource name %s is non alphanumeric.", id)
	case kind == nil:
		return invalid("Template format error: Unrecognized resource types: [%s]", d.Type)
	}
	for name, property := range kind.Properties {
		if _, given := d.Properties[name]; property.Required && !given {
			return invalid("Properties validation failed for resource %s with message: required key [%s] not found", id, name)
		}
	}
	for name := range d.Properties {
		if _, known := kind.Properties[name]; !known {
			return invalid("Properties validation failed for resource %s with message: extraneous key [%s] is not permitted", id, name)
		}
	}
	for _, policy := range []string{d.DeletionPolicy, d.UpdateReplacePolicy} {
		if !slices.Contains([]string{"", "Delete", "Retain", "RetainExceptOnCreate", "Snapshot"}, policy) {
			return invalid("Template format error: Unrecognized DeletionPolicy %s for resource %s", policy, id)
		}
	}
	if _, defined := t.Conditions[d.Condition]; d.Condition != "" && !defined {
		return invalid("Template format error: Unresolved condition dependency %s in the Resources block of the template", d.Condition)
	}
	for _, other := range d.dependsOn() {
		if _, found := t.Resources[other]; !found {
			return invalid("Template format error: Unresolved resource dependencies [%s] in the Resources block of the template", other)
		}
	}
	return t.checkReferences(spec, "the Resources block", d.Properties)
}

// checkReferences refuses names and attributes that there are not.
func (t *template) checkReferences(spec cfnspec.Spec, where string, value any) error {
	var err error
	visitReferences(value, func(name, attribute string) {
		d, resource := t.Resources[name]
		_, parameter := t.Parameters[name]
		switch {
		case err != nil || strings.HasPrefix(name, "AWS::"):
		case attribute == "" && (resource || parameter):
		case !resource:
			err = invalid("Template format error: Unresolved resource dependencies [%s] in %s of the template", name, where)
		default:
			if _, known := spec[d.Type].Attributes[attribute]; !known {
				err = invalid("Template error: resource %s does not support attribute type %s in Fn::GetAtt", name, attribute)
			}
		}
	})
	return err
}

// waves sorts the resources by what they refer to: each wave needs the ones before it and nothing else.
func (t *template) waves() ([][]string, error) {
	needs := map[string][]string{}
	for id, d := range t.Resources {
		needs[id] = d.dependsOn()
		visitReferences(d.Properties, func(name, _ string) {
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
			var left []string
			for id := range needs {
				if !done[id] {
					left = append(left, id)
				}
			}
			slices.Sort(left)
			return nil, invalid("Circular dependency between resources: [%s]", strings.Join(left, ", "))
		}
		for _, id := range wave {
			done[id] = true
		}
		waves = append(waves, wave)
	}
	return waves, nil
}

// iamNames are the types whose creation has to be consented to, with the property that gives each a name of the template's choice.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
var iamNames = map[string]string{
	"AWS::IAM::AccessKey":           "",
	"AWS::IAM::Group":               "GroupName",
	"AWS::IAM::InstanceProfile":     "InstanceProfileName",
	"AWS::IAM::ManagedPolicy":       "ManagedPolicyName",
	"AWS::IAM::Policy":              "",
	"AWS::IAM::Role":                "RoleName",
	"AWS::IAM::User":                "UserName",
	"AWS::IAM::UserToGroupAddition": "",
}

// capability is what a caller has to consent to: "", CAPABILITY_IAM or CAPABILITY_NAMED_IAM.
func (t *template) capability() string {
	needed := ""
	for _, d := range t.Resources {
		property, iam := iamNames[d.Type]
		if !iam {
			continue
		}
		if _, named := d.Properties[property]; named {
			return "CAPABILITY_NAMED_IAM"
		}
		needed = "CAPABILITY_IAM"
	}
	return needed
}
