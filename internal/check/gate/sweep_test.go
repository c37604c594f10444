package gate

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/check"
)

// harmless are the changes that leave nobody worse off, as patterns of "path: change".
var harmless = regexp.MustCompile(`^(?:` + strings.Join([]string{
	// Texts for people, labels, and traces of how the template was made.
	`Description: .*`,
	`Resources\.\w+\.Metadata[^:]*(?:::[^:]*)*: .*`,
	`Resources\.\w+\.Properties\.(?:Group)?Description: .*`,
	`Resources\.\w+\.Properties\.SecurityGroup(?:In|E)gress\[\d+\]\.Description: .*`,
	`Resources\.\w+\.Properties\.Tags.*`,
	`Outputs\.\w+\.Description: .*`,
	`(?:Parameters|Rules)\..*Description: .*`,
	// Names of no consequence: a resource's or an output's that nothing refers to, a policy's inside its role, of the log's streams, of the bootstrap stack that the CLI was told.
	`(?:Resources|Outputs)\.\w+: misspelt`,
	`Resources\.\w+\.Properties\.Policies\[\d+\]\.PolicyName: (?:longer|in capitals)`,
	`.*\.awslogs-stream-prefix: (?:longer|in capitals)`,
	// What AWS takes for granted anyway.
	`.*\.Properties\.(?:InstanceTenancy|MapPublicIpOnLaunch): left out`,
	`.*\.(?:PortMappings\[0\]\.Protocol|MountPoints\[0\]\.ReadOnly): left out`,
	`Resources\.VpcIGW\w+\.Properties: (?:left out|an empty object)`,
	// It waits for the other one, too.
	`Resources\.Ipv6Route[12]\.DependsOn: without its (?:first|last) item`,
	// Times and counts that may be a little more or less.
	`.*\.(?:HealthCheckGracePeriodSeconds|HealthCheck(?:Interval|Timeout)Seconds|(?:Unh|H)ealthyThresholdCount): one (?:more|less)`,
	`.*\.HealthCheck\.(?:Interval|Timeout|Retries|StartPeriod): one (?:more|less)`,
	`.*\.RetryPolicy\.(?:MaximumRetryAttempts: (?:one more|one less|ten times)|MaximumEventAgeInSeconds: one less)`,
	`.*\.CapacityProviderStrategy\[0\]\.Weight: (?:one more|ten times)`, // of the only provider
	`.*\.CidrIpv6: in capitals`,
	`.*\.MessageRetentionPeriod: one less`,
	`.*\.GenerateSecretString\.PasswordLength: (?:one more|ten times)`,
}, "|") + `)$`)

// TestEverySingleChangeIsFound takes out, changes or doubles every single value of every template in turn. The invariants alone have to find it, but where it is harmless.
func TestEverySingleChangeIsFound(t *testing.T) {
	total, found, exempt := 0, 0, 0
	for _, set := range []string{"everything", "image", "imported"} { // in the others there is nothing else
		a := load(t, set)
		for _, stack := range a.Stacks {
			walk(stack.Raw, "", func(path, change string, apply func() (undo func())) {
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
			})
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
