package awsstandin

import (
	"fmt"
	"maps"
	"slices"
)

type outputValue struct {
	OutputKey, OutputValue  string
	Description, ExportName string `xml:",omitempty"`
}

func (s *Server) workOutputs(st *stack, d deployment) ([]outputValue, map[string]any, error) {
	e := s.evaluator(st, d)
	var all []outputValue
	exports := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(d.template.Outputs)) {
		o := d.template.Outputs[key]
		if o.Condition != "" {
			if holds, err := e.condition(o.Condition); err != nil {
				return nil, nil, err
			} else if !holds {
				continue
			}
		}
		value, err := e.value(o.Value)
		if err != nil {
			return nil, nil, err
		}
		one := outputValue{OutputKey: key, OutputValue: fmt.Sprint(value), Description: o.Description}
		if o.Export != nil {
			name, err := e.value(o.Export.Name)
			if err != nil {
				return nil, nil, err
			}
			one.ExportName = fmt.Sprint(name)
			for _, other := range s.stacks {
				if _, taken := other.exports[one.ExportName]; taken && other != st && other.lives() {
					return nil, nil, invalid("Export with name %s is already exported by stack %s", one.ExportName, other.name)
				}
			}
			exports[one.ExportName] = value
		}
		all = append(all, one)
	}
	for name, value := range st.exports {
		if importer := s.importer(st, name); importer != "" && !equal(exports[name], value) {
			return nil, nil, invalid("Cannot update export %s as it is in use by %s", name, importer)
		}
	}
	return all, exports, nil
}

// importer returns the name of a stack that imports what another one exports.
func (s *Server) importer(exporter *stack, export string) string {
	for _, st := range s.stacks {
		if st == exporter || !st.lives() || st.deployed.template == nil {
			continue
		}
		e := s.evaluator(st, st.deployed)
		if slices.ContainsFunc(imports(st.deployed.template), func(argument any) bool {
			name, err := e.value(argument)
			return err == nil && name == export
		}) {
			return st.name
		}
	}
	return ""
}

// imports returns what a template's resources give to Fn::ImportValue.
func imports(t *template) []any {
	var all []any
	var visit func(any)
	visit = func(value any) {
		switch v := value.(type) {
		case []any:
			for _, item := range v {
				visit(item)
			}
		case map[string]any:
			if argument, is := v["Fn::ImportValue"]; is {
				all = append(all, argument)
			}
			for _, item := range v {
				visit(item)
			}
		}
	}
	for _, d := range t.Resources {
		visit(d.Properties)
	}
	return all
}
