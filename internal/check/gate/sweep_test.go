package gate

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/check"
)

// harmless are the changes that leave nobody worse off, as patterns of "path: change".
var harmless = regexp.MustCompile(`^(?:` + strings.Join([]string{
	// Names of no consequence: a resource's that nothing refers to, and a policy's inside its role.
	`Resources\.\w+: misspelt`,
	`Resources\.\w+\.Properties\.Policies\[\d+\]\.PolicyName: as .*`,
	// The note of where in the CDK's tree the resource was made.
	`Resources\.\w+\.Metadata(?:\.aws:cdk:path)?: left out`,
	// The same routes under each other's names.
	`Resources\.(?:Ipv6Route|VpcLoadBalancerSubnet|VpcTasksSubnet)\w+\.Properties\.(?:RouteTableId|DestinationCidrBlock): as .*`,
}, "|") + `)$`)

// TestEverySingleChangeIsFound takes out, changes or doubles every single value of every template in turn. The invariants alone have to find it, but where it is harmless.
func TestEverySingleChangeIsFound(t *testing.T) {
	total, found, exempt := 0, 0, 0
	for _, set := range []string{"everything", "image", "imported"} { // in the others there is nothing else
		a := load(t, set)
		for _, stack := range a.Stacks {
			each := func(path, change string, apply func() (undo func())) {
				undo := apply()
				findings := check.Invariants(a)
				undo()
				total++
				switch {
				case len(findings) > 0:
					found++
				case harmless.MatchString(path + ": " + change):
					exempt++
				default:
					t.Errorf("%s: %s: %s: %s: not found", set, stack.Name, path, change)
				}
			}
			walk(stack.Raw, "", each)
			swap(stack.Raw, each)
		}
		if findings := check.Invariants(a); len(findings) > 0 {
			t.Fatalf("%s: a change was not undone: %v", set, findings)
		}
	}
	t.Logf("%d single changes: %d found, %d harmless", total, found, exempt)
	if total < 3000 {
		t.Errorf("only %d changes", total)
	}
}

// harmlessInFiles are the changes of the assembly's files that leave nobody worse off.
var harmlessInFiles = regexp.MustCompile(`^(?:` + strings.Join([]string{
	// What the CLI shows, and how it names a destination to itself.
	`.*\.displayName: .*`,
	`.*\.destinations\.[^.]+: misspelt`,
	// Trees and flags for people, the oldest CLI, and what is taken for granted.
	`artifacts\.(?:Tree|aws-cdk-lib/feature-flag-report)[.:].*`,
	`minimumCliVersion: .*`,
	`.*\.validateOnSynth: left out`,
}, "|") + `)$`)

// TestEverySingleChangeOfAManifestIsFound does to the manifest and to the asset manifest what TestEverySingleChangeIsFound does to the templates.
func TestEverySingleChangeOfAManifestIsFound(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(parent, os.DirFS(parentOf(t, "imported"))); err != nil {
		t.Fatal(err)
	}
	c := copied(filepath.Join(parent, "cdk.out"))
	total, exempt := 0, 0
	for _, name := range []string{"manifest.json", "Imported-Proxy.assets.json"} {
		text := c.read(t, name)
		var file map[string]any
		if err := json.Unmarshal([]byte(text), &file); err != nil {
			t.Fatal(err)
		}
		walk(file, "", func(path, change string, apply func() (undo func())) {
			total++
			if harmlessInFiles.MatchString(path + ": " + change) {
				exempt++
				return
			}
			undo := apply()
			now, err := json.Marshal(file)
			undo()
			if err != nil {
				t.Fatal(err)
			}
			c.write(t, name, string(now))
			a, findings := loadFrom(parent)
			if findings = append(findings, check.Invariants(a)...); len(findings) == 0 {
				t.Errorf("%s: %s: %s: not found", name, path, change)
			}
		})
		c.write(t, name, text)
	}
	t.Logf("%d single changes: %d found, %d harmless", total, total-exempt, exempt)
	if total-exempt < 200 {
		t.Errorf("only %d changes", total-exempt)
	}
}

// walk makes every single change to a JSON value.
func walk(v any, path string, change func(path, what string, apply func() (undo func()))) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			at := strings.TrimPrefix(path+"."+key, ".")
			was := v[key]
			change(at, "left out", func() func() {
				delete(v, key)
				return func() { v[key] = was }
			})
			change(at, "misspelt", func() func() {
				delete(v, key)
				v[key+"x"] = was
				return func() { delete(v, key+"x"); v[key] = was }
			})
			for what, other := range others(was) {
				if reflect.DeepEqual(other, was) {
					continue
				}
				change(at, what, func() func() {
					v[key] = other
					return func() { v[key] = was }
				})
			}
			walk(was, at, change)
		}
	case []any:
		for i, item := range v {
			at := fmt.Sprintf("%s[%d]", path, i)
			for what, other := range others(item) {
				if reflect.DeepEqual(other, item) {
					continue
				}
				change(at, what, func() func() {
					v[i] = other
					return func() { v[i] = item }
				})
			}
			walk(item, at, change)
		}
	}
}

// swap exchanges what stands in a template twice and differs: the properties of two resources of a type, one by one, the outputs and their values, and any two scalars beside one another. A
// reference goes to every other resource of the type that it went to.
func swap(raw map[string]any, change func(path, what string, apply func() (undo func()))) {
	resources, _ := raw["Resources"].(map[string]any)
	exchange := func(path, what string, a map[string]any, x string, b map[string]any, y string) {
		if first, there := a[x]; there && !reflect.DeepEqual(first, b[y]) {
			if second, there := b[y]; there {
				change(path, what, func() func() {
					a[x], b[y] = second, first
					return func() { a[x], b[y] = first, second }
				})
			}
		}
	}
	pairs := func(section map[string]any, each func(x, y string, a, b map[string]any)) {
		ids := slices.Sorted(maps.Keys(section))
		for i, x := range ids {
			for _, y := range ids[i+1:] {
				a, _ := section[x].(map[string]any)
				b, _ := section[y].(map[string]any)
				each(x, y, a, b)
			}
		}
	}
	pairs(resources, func(x, y string, a, b map[string]any) {
		if a["Type"] != b["Type"] {
			return
		}
		ofA, _ := a["Properties"].(map[string]any)
		ofB, _ := b["Properties"].(map[string]any)
		for name := range ofA {
			exchange("Resources."+x+".Properties."+name, "as that of "+y, ofA, name, ofB, name)
		}
	})
	outputs, _ := raw["Outputs"].(map[string]any)
	pairs(outputs, func(x, y string, a, b map[string]any) {
		exchange("Outputs."+x, "as "+y, outputs, x, outputs, y)
		exchange("Outputs."+x+".Value", "as that of "+y, a, "Value", b, "Value")
	})
	var below func(v any, path string)
	below = func(v any, path string) {
		switch v := v.(type) {
		case map[string]any:
			keys := slices.Sorted(maps.Keys(v))
			for i, x := range keys {
				for _, y := range keys[i+1:] {
					if reflect.TypeOf(v[x]) == reflect.TypeOf(v[y]) && reflect.TypeOf(v[x]) != reflect.TypeOf(v) && reflect.TypeOf(v[x]) != reflect.TypeOf([]any{}) {
						exchange(path+"."+x, "as "+y, v, x, v, y)
					}
				}
				below(v[x], path+"."+x)
			}
			target, _ := v["Ref"].(string)
			key, put := "Ref", func(id string) any { return id }
			if attribute, ok := v["Fn::GetAtt"].([]any); ok {
				target, _ = attribute[0].(string)
				key, put = "Fn::GetAtt", func(id string) any { return []any{id, attribute[1]} }
			}
			resource, _ := resources[target].(map[string]any)
			for _, id := range slices.Sorted(maps.Keys(resources)) {
				if other, _ := resources[id].(map[string]any); resource != nil && id != target && other["Type"] == resource["Type"] {
					was := v[key]
					change(path, "to "+id, func() func() {
						v[key] = put(id)
						return func() { v[key] = was }
					})
				}
			}
		case []any:
			for i, item := range v {
				below(item, fmt.Sprintf("%s[%d]", path, i))
			}
		}
	}
	below(resources, "Resources")
	below(outputs, "Outputs")
}

// others returns values that differ from one a little.
func others(v any) map[string]any {
	switch v := v.(type) {
	case string:
		all := map[string]any{"longer": v + "x", "empty": "", "null": nil}
		if upper := strings.ToUpper(v); upper != v {
			all["in capitals"] = upper
		}
		return all
	case float64:
		return map[string]any{"one more": v + 1, "one less": v - 1, "ten times": v * 10, "none": 0.0}
	case bool:
		return map[string]any{"the opposite": !v}
	case []any:
		all := map[string]any{"an empty list": []any{}}
		if len(v) > 0 {
			all["without its last item"] = v[:len(v)-1]
			all["without its first item"] = v[1:]
			all["with its first item twice"] = append(slices.Clone(v), v[0])
		}
		return all
	case map[string]any:
		return map[string]any{"an empty object": map[string]any{}}
	}
	return nil
}

// clone returns a deep copy of a JSON value.
func clone(t *testing.T, v map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var copied map[string]any
	if err := json.Unmarshal(text, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}
