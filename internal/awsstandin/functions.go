package awsstandin

import (
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

var substitution = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

// visitReferences calls f with the name in each reference in a value.
func visitReferences(value any, f func(name string)) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			visitReferences(item, f)
		}
	case map[string]any:
		for key, item := range v {
			switch {
			case len(v) == 1 && key == "Ref":
				f(fmt.Sprint(item))
			case len(v) == 1 && key == "Fn::GetAtt":
				name, _ := attributeOf(item)
				f(name)
			case len(v) == 1 && key == "Fn::Sub":
				text, own := subArguments(item)
				for _, match := range substitution.FindAllStringSubmatch(text, -1) {
					name, _, _ := strings.Cut(match[1], ".")
					f(name)
				}
				visitReferences(any(own), f)
			default:
				visitReferences(item, f)
			}
		}
	}
}

// attributeOf reads the argument of Fn::GetAtt, a list or "name.attribute".
func attributeOf(argument any) (name, attribute string) {
	if list, ok := argument.([]any); ok && len(list) == 2 {
		return fmt.Sprint(list[0]), fmt.Sprint(list[1])
	}
	name, attribute, _ = strings.Cut(fmt.Sprint(argument), ".")
	return name, attribute
}

func subArguments(argument any) (text string, own map[string]any) {
	if list, ok := argument.([]any); ok && len(list) == 2 {
		own, _ = list[1].(map[string]any)
		argument = list[0]
	}
	text, _ = argument.(string)
	return text, own
}

// evaluator works out functions over a deployment.
type evaluator struct {
	server     *Server
	stack      *stack
	template   *template
	parameters map[string]any
	// resource returns a resource of the stack, nil if it does not exist (yet).
	resource func(logicalID string) *resource
}

func (s *Server) evaluator(st *stack, d deployment) *evaluator {
	return &evaluator{
		server: s, stack: st, template: d.template, parameters: d.resolved,
		resource: func(id string) *resource { return st.resources[id] },
	}
}

// included reports whether the template declares a resource and its condition holds.
func (e *evaluator) included(id string) (bool, error) {
	d, declared := e.template.Resources[id]
	if !declared || d.Condition == "" {
		return declared, nil
	}
	return e.condition(d.Condition)
}

// worked returns a resource with its properties worked out, nil if it is not included.
func (e *evaluator) worked(id string) (*resource, error) {
	included, err := e.included(id)
	if err != nil || !included {
		return nil, err
	}
	d := e.template.Resources[id]
	value, err := e.value(map[string]any(d.Properties))
	if err != nil {
		return nil, err
	}
	properties, _ := value.(map[string]any)
	return &resource{logicalID: id, kind: d.Type, properties: properties, declaration: d}, nil
}

// noValue stands for AWS::NoValue until it is taken out of what holds it.
type noValue struct{}

// value works out every function in a value.
func (e *evaluator) value(value any) (any, error) {
	switch v := value.(type) {
	case []any:
		list := []any{}
		for _, item := range v {
			one, err := e.value(item)
			if err != nil {
				return nil, err
			}
			if one != (noValue{}) {
				list = append(list, one)
			}
		}
		return list, nil
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || name == "Condition" && isText(argument) || strings.HasPrefix(name, "Fn::") {
					return e.call(name, argument)
				}
			}
		}
		object := map[string]any{}
		for key, item := range v {
			one, err := e.value(item)
			if err != nil {
				return nil, err
			}
			if one != (noValue{}) {
				object[key] = one
			}
		}
		return object, nil
	}
	return value, nil
}

func isText(value any) bool {
	_, text := value.(string)
	return text
}

func (e *evaluator) call(name string, argument any) (any, error) {
	switch name {
	case "Ref":
		return e.ref(fmt.Sprint(argument))
	case "Fn::GetAtt":
		return e.attribute(attributeOf(argument))
	case "Fn::Sub":
		return e.sub(argument)
	case "Condition":
		return e.condition(fmt.Sprint(argument))
	case "Fn::If":
		list, ok := argument.([]any)
		if !ok || len(list) != 3 {
			return nil, invalid("Template error: Fn::If requires a list argument with three elements")
		}
		holds, err := e.condition(fmt.Sprint(list[0]))
		if err != nil {
			return nil, err
		}
		if holds {
			return e.value(list[1])
		}
		return e.value(list[2])
	}
	worked, err := e.value(argument)
	if err != nil {
		return nil, err
	}
	list, _ := worked.([]any)
	object, _ := worked.(map[string]any)
	switch {
	case name == "Fn::Join" && len(list) == 2:
		parts, ok := list[1].([]any)
		if !ok {
			break
		}
		var all []string
		for _, part := range parts {
			all = append(all, fmt.Sprint(part))
		}
		return strings.Join(all, fmt.Sprint(list[0])), nil
	case name == "Fn::Select" && len(list) == 2:
		var index int
		items, ok := list[1].([]any)
		if _, err := fmt.Sscan(fmt.Sprint(list[0]), &index); err != nil || !ok || index < 0 || index >= len(items) {
			return nil, invalid("Template error: Fn::Select cannot select nonexistent value at index %v", list[0])
		}
		return items[index], nil
	case name == "Fn::GetAZs":
		if region := fmt.Sprint(worked); region != "" && region != Region {
			return nil, invalid("Template error: Fn::GetAZs: no such region %s", region)
		}
		return []any{Region + "a", Region + "b", Region + "c"}, nil
	case name == "Fn::Equals" && len(list) == 2:
		return fmt.Sprint(list[0]) == fmt.Sprint(list[1]), nil
	case name == "Fn::Not" && len(list) == 1:
		return list[0] != true, nil
	case name == "Fn::And" && len(list) > 1:
		return !slices.Contains(list, any(false)), nil
	case name == "Fn::Cidr" && len(list) == 3:
		return cidrs(list[0], list[1], list[2])
	case name == "Fn::GetStackOutput" && object != nil:
		return e.stackOutput(object)
	}
	return nil, invalid("Template error: %s with %v is not understood", name, argument)
}

// cidrs cuts the first blocks of so many host bits from a block.
func cidrs(block, count, hostBits any) (any, error) {
	prefix, err := netip.ParsePrefix(fmt.Sprint(block))
	var n, bits int
	if err == nil {
		_, err = fmt.Sscan(fmt.Sprint(count, " ", hostBits), &n, &bits)
	}
	if err != nil || n < 1 || n > 256 || bits < 1 || prefix.Addr().BitLen()-bits < prefix.Bits() {
		return nil, invalid("Template error: Fn::Cidr cannot cut %v blocks of %v bits from %v", count, hostBits,
			block)
	}
	address := new(big.Int).SetBytes(prefix.Masked().Addr().AsSlice())
	step := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	var blocks []any
	for range n {
		at, _ := netip.AddrFromSlice(address.FillBytes(make([]byte, prefix.Addr().BitLen()/8)))
		if !prefix.Contains(at) {
			return nil, invalid("Template error: Fn::Cidr cannot cut %d blocks of %d bits from %v", n, bits, prefix)
		}
		blocks = append(blocks, netip.PrefixFrom(at, at.BitLen()-bits).String())
		address.Add(address, step)
	}
	return blocks, nil
}

func (e *evaluator) ref(name string) (any, error) {
	switch name {
	case "AWS::AccountId":
		return Account, nil
	case "AWS::Region":
		return Region, nil
	case "AWS::Partition":
		return partition, nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return e.stack.name, nil
	case "AWS::StackId":
		return e.stack.arn, nil
	case "AWS::NoValue":
		return noValue{}, nil
	}
	if value, found := e.parameters[name]; found {
		return value, nil
	}
	if r := e.resource(name); r != nil {
		return r.id, nil
	}
	return nil, invalid("Template format error: Unresolved resource dependencies [%s] in the template", name)
}

func (e *evaluator) attribute(name, attribute string) (any, error) {
	r := e.resource(name)
	if r == nil {
		return nil, invalid("Template error: instance of Fn::GetAtt references undefined resource %s", name)
	}
	if _, known := e.server.spec[r.kind].Attributes[attribute]; !known {
		return nil, invalid("Template error: resource %s does not support attribute type %s in Fn::GetAtt", name,
			attribute)
	}
	return e.server.attribute(r, attribute), nil
}

func (e *evaluator) sub(argument any) (any, error) {
	text, own := subArguments(argument)
	var failed error
	result := substitution.ReplaceAllStringFunc(text, func(match string) string {
		key := match[2 : len(match)-1]
		var value any
		var err error
		if given, is := own[key]; is {
			value, err = e.value(given)
		} else if name, attribute, dotted := strings.Cut(key, "."); dotted {
			value, err = e.attribute(name, attribute)
		} else {
			value, err = e.ref(key)
		}
		if err != nil {
			failed = err
		}
		return fmt.Sprint(value)
	})
	return strings.ReplaceAll(result, "${!", "${"), failed
}

func (e *evaluator) condition(name string) (bool, error) {
	defined, found := e.template.Conditions[name]
	if !found {
		return false, invalid("Template format error: Unresolved condition dependency %s", name)
	}
	value, err := e.value(defined)
	if err != nil {
		return false, err
	}
	return value == true, nil
}

// stackOutput reads an output of another stack as it is now: the reference is weak.
func (e *evaluator) stackOutput(argument map[string]any) (any, error) {
	if region, given := argument["Region"]; given && region != Region {
		return nil, invalid("Template error: Fn::GetStackOutput: no stack in %v", region)
	}
	if other := e.server.stack(fmt.Sprint(argument["StackName"])); other != nil {
		for _, o := range other.outputs {
			if o.OutputKey == argument["OutputName"] {
				return o.OutputValue, nil
			}
		}
	}
	return nil, invalid("Template error: Fn::GetStackOutput: no output %v of stack %v", argument["OutputName"],
		argument["StackName"])
}

// equal compares what was worked out.
func equal(a, b any) bool { return reflect.DeepEqual(a, b) }
