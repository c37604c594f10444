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
			if strings.EqualFold(parameter.Key, field.Name) {
				keys = append(keys, parameter.Key)
			}
		}
		if len(keys) != 1 {
			t.Errorf("field %s is set by %q", field.Name, keys)
		}
	}
}

// TestDefaultsAreWrittenTheWayTheyAreRead: each default gives the same field in all three forms
// it may come in.
func TestDefaultsAreWrittenTheWayTheyAreRead(t *testing.T) {
	for _, parameter := range parameters {
		var want, fromJSON, fromText Params
		if errs := parameter.store(&want, parameter.Default); errs != nil {
			t.Errorf("%s: %v", parameter.Key, errs)
		}
		errs := parameter.store(&fromJSON, throughJSON(t, parameter.Default))
		if errs != nil || !reflect.DeepEqual(want, fromJSON) {
			t.Errorf("%s from JSON: %v, %+v", parameter.Key, errs, fromJSON)
		}
		text := inText(parameter.Default)
		if text == none {
			text = ""
		}
		if errs := parameter.store(&fromText, text); errs != nil || !reflect.DeepEqual(want, fromText) {
			t.Errorf("%s from %q: %v, %+v", parameter.Key, text, errs, fromText)
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

func TestDeclarationsAreComplete(t *testing.T) {
	list := Declarations()
	if len(list) != len(parameters) {
		t.Fatalf("%d declarations of %d", len(list), len(parameters))
	}
	seen := map[string]bool{}
	for _, d := range list {
		if d.Key == "" || d.Type == "" || d.Default == nil || d.Limits == "" || d.Help == "" || seen[d.Key] {
			t.Errorf("%+v", d)
		}
		if isCDKs(d.Key) {
			t.Errorf("%s would pass for a key of CDK's", d.Key)
		}
		seen[d.Key] = true
	}
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
	for _, d := range Declarations() {
		if value, ok := cdk.Context[d.Key]; !ok {
			t.Errorf("cdk.json: %s is missing; its default is %v", d.Key, d.Default)
		} else if !reflect.DeepEqual(value, throughJSON(t, d.Default)) {
			t.Errorf("cdk.json: %s is %#v, the default is %#v", d.Key, value, d.Default)
		}
	}
}
