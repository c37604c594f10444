package standin

import (
	"fmt"

	"github.com/aws/smithy-go"
)

// check compares a JSON value with the shape that AWS's API model gives it.
func check(shape *smithy.Schema, value any, path string) []string {
	var problems []string
	wrong := func(want string) []string {
		return append(problems, fmt.Sprintf("%s is %T, and %s in the API model", path, value, want))
	}
	switch shape.Type() {
	case smithy.ShapeTypeStructure:
		object, ok := value.(map[string]any)
		if !ok {
			return wrong("a structure")
		}
		for name, member := range object {
			known := shape.Member(name)
			if known == nil {
				problems = append(problems, fmt.Sprintf("%s.%s is not in the API model", path, name))
				continue
			}
			problems = append(problems, check(known, member, path+"."+name)...)
		}
	case smithy.ShapeTypeList:
		list, ok := value.([]any)
		if !ok {
			return wrong("a list")
		}
		for i, member := range list {
			problems = append(problems, check(shape.ListMember(), member, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case smithy.ShapeTypeMap:
		object, ok := value.(map[string]any)
		if !ok {
			return wrong("a map")
		}
		for key, member := range object {
			problems = append(problems, check(shape.MapValue(), member, fmt.Sprintf("%s[%q]", path, key))...)
		}
	case smithy.ShapeTypeString, smithy.ShapeTypeEnum:
		if _, ok := value.(string); !ok {
			return wrong("a string")
		}
	case smithy.ShapeTypeBoolean:
		if _, ok := value.(bool); !ok {
			return wrong("a boolean")
		}
	case smithy.ShapeTypeInteger, smithy.ShapeTypeLong, smithy.ShapeTypeTimestamp:
		if _, ok := value.(float64); !ok {
			return wrong("a number")
		}
	default:
		problems = append(problems, fmt.Sprintf("%s: nothing is known about shapes of type %v", path, shape.Type()))
	}
	return problems
}
