package params

import (
	"fmt"
	"reflect"
	"strings"
)

// parameter declares one: what people and tools know of it, how a value gets into Params, and which
// other parameters' values it does not go with.
type parameter struct {
	key     string // in the context
	name    string // of its kind of value, for example "integer" or "list of CIDR blocks"
	initial any    // the default, with the type it has in cdk.json: string, bool, int, or []any of string or int
	limits  string // which values are accepted
	help    string // what the parameter means
	store   func(p *Params, value any) Errors
	rules   []rule
}

// Keys returns the context keys of all parameters in the order of the table.
func Keys() (keys []string) {
	for _, p := range parameters {
		keys = append(keys, p.key)
	}
	return keys
}

// declare makes a parameter whose type, limits and checks are those of a kind of value. It is
// stored in the field of Params with the key's name, in which case does not count.
func declare[T any](key string, k kind[T], initial any, help string) parameter {
	return parameter{
		key: key, name: k.name, initial: initial, limits: k.limits, help: help,
		store: func(p *Params, value any) Errors {
			if value == nil {
				return Errors{{key, "null is not a value; leave the key out to get the default, " + inText(initial)}}
			}
			named := func(name string) bool { return strings.EqualFold(name, key) }
			field := reflect.ValueOf(p).Elem().FieldByNameFunc(named).Addr().Interface().(*T)
			var errs Errors
			*field, errs = k.read(key, value)
			return errs
		},
	}
}

const none = "none"

// inText writes a default the way "-c key=value" would.
func inText(initial any) string {
	s := fmt.Sprint(initial)
	if items, ok := initial.([]any); ok {
		s = strings.Join(words(items), ",")
	}
	if s == "" {
		return none
	}
	return s
}

// rule is a check of a parameter that takes others.
type rule struct {
	keys  []string // the parameters that have to be right for the check to make sense
	check func(p *Params, refuse refusal)
}

// refusal notes an error of a parameter, or of an item of one.
type refusal func(path, format string, arguments ...any)

// with adds a rule to a declaration.
func (p parameter) with(check func(p *Params, refuse refusal), keys ...string) parameter {
	p.rules = append(p.rules, rule{keys, check})
	return p
}

// at is the path of an item of a list.
func at(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }
