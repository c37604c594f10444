package params

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// FuzzParse: no context makes Parse panic, no error message spans lines, and whatever is accepted
// can be written on a line of a file.
func FuzzParse(f *testing.F) {
	for _, p := range parameters {
		f.Add(p.key, inText(p.initial), false)
		if encoded, err := json.Marshal(p.initial); err == nil {
			f.Add(p.key, string(encoded), true)
		}
		f.Add(p.key, "a\nb", false)
		f.Add(p.key, `["\u0000","\r\n",null,{"a":[1.5]}]`, true)
	}
	f.Add("clientCidrs", "::ffff:0:0/96,0.0.0.0/0,fe80::1%a\nb/64", false)
	f.Add("rotateEvery", "99999999d99999999h99999999m99999999s", false)
	f.Fuzz(func(t *testing.T, key, value string, asJSON bool) {
		context := map[string]any{key: value}
		if asJSON {
			var decoded any
			if json.Unmarshal([]byte(value), &decoded) != nil {
				return
			}
			context[key] = decoded
		}
		p, err := Parse(context)
		if err != nil {
			if p != nil {
				t.Errorf("parameters beside the error %v", err)
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) != len(err.(Errors)) {
				t.Errorf("%d lines for %d errors:\n%s", len(lines), len(err.(Errors)), err)
			}
			return
		}
		written := fmt.Sprintf("%+v", *p)
		unsafe := func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }
		if i := strings.IndexFunc(written, unsafe); i >= 0 {
			t.Errorf("%q has a byte that cannot be written at %d", written, i)
		}
		if p.RotateEvery < 0 || p.FleetSize < 1 || len(p.Users) == 0 || len(p.ClientCidrs) == 0 {
			t.Errorf("%+v", *p)
		}
		for _, w := range p.Warnings() {
			if strings.Contains(w, "\n") {
				t.Errorf("%q", w)
			}
		}
	})
}
