package stacks_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/cfnspec"
	"squidfleet/internal/doctest"
	"squidfleet/internal/must"
	"squidfleet/params"
)

func TestEveryParameterHasItsRowInTheTableOfChanges(t *testing.T) {
	spec, err := cfnspec.Load("..")
	must.OK(t, err)
	var table strings.Builder
	table.WriteString("| parameter | change | in place | replaced | added, removed | what is noticed |\n" +
		"|---|---|---|---|---|---|\n")
	rest := variants
	for _, key := range params.Keys() {
		rows := 0
		for ; len(rest) > 0 && rest[0].key == key; rest = rest[1:] {
			rows++
			table.WriteString(row(t, spec, rest[0]))
		}
		if rows == 0 {
			t.Errorf("no change of parameter %q is tried: add one to variants, in the order of params", key)
		}
	}
	if len(rest) > 0 {
		t.Errorf("variant of %q: no such parameter, or out of order", rest[0].key)
	}
	doctest.Section(t, "..", "changes", table.String())
}

func row(t *testing.T, spec cfnspec.Spec, v variant) string {
	t.Helper()
	cells := func(inPlace, replaced, comes string, noticed ...string) string {
		return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |\n",
			v.key, v.change, inPlace, replaced, comes, strings.Join(noticed, "; "))
	}
	if v.key == "stackName" {
		// CloudFormation knows a stack by its name and nothing else.
		return cells("", "", "both stacks", otherFleet)
	}
	c := compare(t, spec, synth(t, v.before), synth(t, v.after))
	if slices.Contains(c.noticed, newNetwork) {
		return cells("", "", "", newNetwork)
	}
	return cells(c.inPlace.list(), c.replaced.list(), c.comes.list(), c.noticed...)
}

// types are the types of resources, without the service's name.
type types map[string]bool

func (t types) list() string { return strings.Join(slices.Sorted(maps.Keys(t)), ", ") }

// comparison is what CloudFormation would do, and what a person notices of it.
type comparison struct {
	inPlace, replaced, comes types
	noticed                  []string
}

// compare finds what becomes of each resource of both stacks. A resource that refers to a
// replaced one changes too.
func compare(t *testing.T, spec cfnspec.Spec, before, after *assembly) comparison {
	t.Helper()
	old, recent := before.everything(), after.everything()
	changed := map[string][]string{} // properties, by stack and logical id
	gone := map[string]bool{}        // replaced, likewise
	for again := true; again; {
		again = false
		for id, r := range recent {
			was, existed := old[id]
			if !existed || gone[id] {
				continue
			}
			stack, _, _ := strings.Cut(id, "/")
			changed[id] = changedProperties(was, r, func(value any) bool {
				return slices.ContainsFunc(after.references(stack, value), func(id string) bool { return gone[id] })
			})
			for _, name := range changed[id] {
				if spec[r.Type].Properties[name].Replaces == cfnspec.Always {
					gone[id], again = true, true
				}
			}
		}
	}
	c := comparison{types{}, types{}, types{}, nil}
	noticed := map[string]bool{}
	notice := func(among types, r resource, what ...string) {
		kind := r.Type[strings.LastIndex(r.Type, ":")+1:]
		among[kind] = true
		if !strings.Contains(fmt.Sprint(calls), r.Type+" ") {
			t.Errorf("calls lacks %s, which comes, goes or changes", r.Type)
		}
		for _, what := range what {
			of, known := kind+"."+what, false
			for _, e := range effects {
				if slices.Contains(strings.Fields(e.of), of) {
					noticed[e.noticed], known = true, true
				}
			}
			if property, is := spec[r.Type].Properties[what]; is {
				if property.Replaces == cfnspec.Sometimes {
					t.Errorf("a change of %s replaces the resource sometimes: nothing says when", of)
				}
				if !known && what != "Tags" { // Running tasks keep theirs.
					t.Errorf("%s changes: say in effects what is noticed of it", of)
				}
			}
		}
	}
	for id, r := range recent {
		switch _, existed := old[id]; {
		case !existed:
			notice(c.comes, r, "added")
		case gone[id]:
			notice(c.replaced, r, "replaced")
		case len(changed[id]) > 0:
			notice(c.inPlace, r, changed[id]...)
		}
	}
	for id, r := range old {
		if _, stays := recent[id]; !stays {
			notice(c.comes, r, "removed")
		}
	}
	// The same clients, at another endpoint or other ports.
	for _, covers := range [][2]string{
		{newEndpoint, newPort}, {newEndpoint, clients}, {newPort, clients}, {newPort, ports}, {ports, clients},
	} {
		if noticed[covers[0]] {
			delete(noticed, covers[1])
		}
	}
	for _, e := range effects {
		if noticed[e.noticed] && e.noticed != nothing {
			c.noticed = append(c.noticed, e.noticed)
		}
	}
	if c.noticed == nil {
		c.noticed = []string{nothing}
	}
	return c
}

// everything returns the resources of both stacks, with the stack's role before the logical id.
func (a *assembly) everything() map[string]resource {
	all := map[string]resource{}
	for role, stack := range a.templates {
		for id, r := range stack.Resources {
			all[role+"/"+id] = r
		}
	}
	return all
}

// changedProperties returns the properties that differ, or whose value refers to a resource that
// is gone.
func changedProperties(before, after resource, gone func(value any) bool) []string {
	names := map[string]any{}
	maps.Copy(names, before.Properties)
	maps.Copy(names, after.Properties)
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if value := after.Properties[name]; !reflect.DeepEqual(before.Properties[name], value) || gone(value) {
			changed = append(changed, name)
		}
	}
	return changed
}

// references returns what a value refers to, through the other stack's outputs too.
func (a *assembly) references(stack string, value any) []string {
	switch v := value.(type) {
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, a.references(stack, item)...)
		}
		return all
	case map[string]any:
		if name, is := v["Ref"].(string); is {
			return []string{stack + "/" + name}
		}
		if attribute, is := v["Fn::GetAtt"].([]any); is {
			return []string{stack + "/" + attribute[0].(string)}
		}
		if other, is := v["Fn::GetStackOutput"].(map[string]any); is {
			return a.references("Network", a.templates["Network"].Outputs[other["OutputName"].(string)].Value)
		}
		var all []string
		for _, item := range v {
			all = append(all, a.references(stack, item)...)
		}
		return all
	}
	return nil
}
