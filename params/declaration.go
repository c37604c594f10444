package params

// Declaration describes one parameter, for people and for tools.
type Declaration struct {
	Key     string `json:"key"`     // the context key
	Type    string `json:"type"`    // for example "integer" or "list of CIDR blocks"
	Default any    `json:"default"` // with the type it has in cdk.json: string, bool, int, or []any of string or int
	Limits  string `json:"limits"`  // which values are accepted; may be empty
	Help    string `json:"help"`    // what the parameter means
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
	field func(p *Params) any               // points to the field that store sets
}

// declare makes a parameter whose type, limits and checks are those of a kind of value.
func declare[T any](key string, k kind[T], def any, help string, field func(*Params) *T) parameter {
	return parameter{
		Declaration: Declaration{Key: key, Type: k.name, Default: def, Limits: k.limits, Help: help},
		store: func(p *Params, value any) Errors {
			if value == nil {
				return Errors{{key, "null is not a value; leave the key out to get the default, " + inText(def)}}
			}
			var errs Errors
			*field(p), errs = k.read(key, value)
			return errs
		},
		field: func(p *Params) any { return field(p) },
	}
}
