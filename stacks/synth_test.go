package stacks_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/must"
	"squidfleet/internal/synthtest"
	"squidfleet/params"
)

func TestMain(m *testing.M) { synthtest.Main(m) }

type assembly struct {
	dir       string
	params    *params.Params
	templates map[string]template // by the stack's role: Network, unless the VPC is imported, and Proxy
}

type template struct {
	Parameters map[string]struct{ Type, Default string }
	Resources  map[string]resource
	Outputs    map[string]struct{ Value any }
}

type resource struct {
	Type       string
	Properties map[string]any
}

var synthesised = map[string]*assembly{}

// synth synthesises the fleet of cdk.json with some parameters changed.
func synth(t *testing.T, changes map[string]any) *assembly {
	t.Helper()
	return synthCase(t, cdkcontext.Case{Changes: changes})
}

// synthCase synthesises a fleet, each once.
func synthCase(t *testing.T, c cdkcontext.Case) *assembly {
	t.Helper()
	key, err := json.Marshal(c)
	must.OK(t, err)
	if done := synthesised[string(key)]; done != nil {
		return done
	}
	dir := filepath.Join(synthtest.Scratch(), fmt.Sprint(len(synthesised)))
	p := synthtest.Synth(t, dir, c)
	a := &assembly{dir: dir, params: p, templates: map[string]template{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.template.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no template in %s: %v", dir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must.OK(t, err)
		var one template
		must.OK(t, json.Unmarshal(text, &one))
		role := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), p.StackName+"-"), ".template.json")
		a.templates[role] = one
	}
	synthesised[string(key)] = a
	return a
}

// with returns the changes and one more.
func with(changes map[string]any, key string, value any) map[string]any {
	all := map[string]any{key: value}
	maps.Copy(all, changes)
	return all
}

func only(key string, value any) map[string]any { return with(nil, key, value) }
