package params

import (
	"fmt"
	"reflect"
	"strings"
)

// Declaration describes one parameter, for people and for tools.
type Declaration struct {
	Key     string // the context key
	Type    string // for example "integer" or "list of CIDR blocks"
	Default any    // with the type it has in cdk.json: string, bool, int, or []any of string or int
	Limits  string // which values are accepted
	Help    string // what the parameter means
}

// Declarations returns every parameter in the order of the table.
func Declarations() []Declaration {
	list := make([]Declaration, 0, len(parameters))
	for _, p := range parameters {
		list = append(list, p.Declaration)
	}
	return list
}

// parameter is a declaration, and how a value gets into Params.
type parameter struct {
	Declaration
	store func(p *Params, value any) Errors // reads and checks the value
}

// declare makes a parameter whose type, limits and checks are those of a kind of value. It is
// stored in the field of Params with the key's name, in which case does not count.
func declare[T any](key string, k kind[T], def any, help string) parameter {
	return parameter{
		Declaration: Declaration{Key: key, Type: k.name, Default: def, Limits: k.limits, Help: help},
		store: func(p *Params, value any) Errors {
			if value == nil {
				return Errors{{key, "null is not a value; leave the key out to get the default, " + inText(def)}}
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
func inText(def any) string {
	s := fmt.Sprint(def)
	if items, ok := def.([]any); ok {
		s = strings.Join(words(items), ",")
	}
	if s == "" {
		return none
	}
	return s
}
