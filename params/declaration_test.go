package params

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

// TestEveryFieldHasOneDeclaration: no field of Params is forgotten, and no two parameters
// overwrite one another.
func TestEveryFieldHasOneDeclaration(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Params]()) {
		var keys []string
		for _, parameter := range parameters {
			if strings.EqualFold(parameter.key, field.Name) {
				keys = append(keys, parameter.key)
			}
		}
		if len(keys) != 1 {
			t.Errorf("field %s is set by %q", field.Name, keys)
		}
	}
	for _, p := range parameters {
		if p.name == "" || p.limits == "" || p.help == "" || cdkKeys.MatchString(p.key) {
			t.Errorf("%s lacks a text, or would pass for a key of CDK's", p.key)
		}
	}
}

// TestDefaultsAreWrittenTheWayTheyAreRead: each default gives the same field in all three forms
// it may come in.
func TestDefaultsAreWrittenTheWayTheyAreRead(t *testing.T) {
	for _, parameter := range parameters {
		var want, fromJSON, fromText Params
		if errs := parameter.store(&want, parameter.initial); errs != nil {
			t.Errorf("%s: %v", parameter.key, errs)
		}
		errs := parameter.store(&fromJSON, throughJSON(t, parameter.initial))
		if errs != nil || !reflect.DeepEqual(want, fromJSON) {
			t.Errorf("%s from JSON: %v, %+v", parameter.key, errs, fromJSON)
		}
		text := inText(parameter.initial)
		if text == none {
			text = ""
		}
		if errs := parameter.store(&fromText, text); errs != nil || !reflect.DeepEqual(want, fromText) {
			t.Errorf("%s from %q: %v, %+v", parameter.key, text, errs, fromText)
		}
	}
}

func throughJSON(t *testing.T, value any) any {
	t.Helper()
	encoded, err := json.Marshal(value)
	must.OK(t, err)
	var decoded any
	must.OK(t, json.Unmarshal(encoded, &decoded))
	return decoded
}

// TestCdkJSONHoldsTheDefaults: cdk.json lists every parameter, so that people see what there is
// to set, with the defaults of this package.
func TestCdkJSONHoldsTheDefaults(t *testing.T) {
	file, err := os.ReadFile("../cdk.json")
	must.OK(t, err)
	var cdk struct{ Context map[string]any }
	must.OK(t, json.Unmarshal(file, &cdk))
	if errs := unknownKeys(cdk.Context); errs != nil {
		t.Error(errs)
	}
	for _, p := range parameters {
		if value := cdk.Context[p.key]; !reflect.DeepEqual(value, throughJSON(t, p.initial)) {
			t.Errorf("cdk.json: %s is %#v, the default is %#v", p.key, value, p.initial)
		}
	}
}
