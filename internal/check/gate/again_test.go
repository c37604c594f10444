package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/check"
	"squidfleet/internal/synthtest"
)

// TestEveryChangeOfAnAssemblyIsFound changes single values of JSON files and single lines of
// texts, some of them.
func TestEveryChangeOfAnAssemblyIsFound(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, set := range []string{"everything", "imported", "image"} {
		right := assembly(t, set)
		program := load(t, right).ImageDirectory() + "/entrypoint"
		right[program] = &fstest.MapFile{Data: []byte("a short \x00 program")}
		changed := func(name, what string, text []byte) {
			files := maps.Clone(right)
			files[name] = &fstest.MapFile{Data: text}
			findings := check.Compare(files, right)
			if len(findings) != 1 || findings[0].File != name {
				t.Errorf("%s: %s: %s: %v, want one finding", set, name, what, findings)
			}
		}
		number := 0
		for _, name := range slices.Sorted(maps.Keys(right)) {
			text := right[name].Data
			var value any
			switch {
			case json.Unmarshal(text, &value) == nil && strings.HasSuffix(name, ".json"):
				walk(value, "", func(path string, apply func() (undo func())) {
					if random.IntN(20) > 0 {
						return
					}
					undo := apply()
					written, err := json.Marshal(value)
					undo()
					if err != nil {
						t.Fatal(err)
					}
					changed(name, path, written)
					number++
				})
			case bytes.IndexByte(text, 0) < 0:
				lines := bytes.SplitAfter(text, []byte("\n"))
				i := random.IntN(max(1, len(lines)-1))
				changed(name, fmt.Sprintf("without line %d", i+1), bytes.Join(slices.Delete(lines, i, i+1), nil))
				number++
			default:
				changed(name, "one bit", append(slices.Clone(text[:len(text)-1]), text[len(text)-1]^1))
				number++
			}
			if files := maps.Clone(right); strings.Contains(name, "/") || random.IntN(2) > 0 {
				delete(files, name)
				if findings := check.Compare(files, right); len(findings) == 0 {
					t.Errorf("%s: %s: is missing, and nothing is found", set, name)
				}
			}
		}
		for added, want := range map[string]int{program + ".more": 1, "Old-Proxy.template.json": 0} {
			more := maps.Clone(right)
			more[added] = &fstest.MapFile{Data: []byte("{}")}
			findings := check.Compare(more, right)
			if len(findings) != want || want > 0 && findings[0].File != added {
				t.Errorf("%s: with a file %s more: %v", set, added, findings)
			}
		}
		if t.Logf("%s: %d changes", set, number); number < 100 {
			t.Errorf("%s: only %d changes", set, number)
		}
	}
}

// walk makes each single change of a JSON value: a key taken out, another scalar.
func walk(v any, path string, change func(path string, apply func() (undo func()))) {
	each := func(at string, was any, put func(any)) {
		other := any("x" + fmt.Sprint(was))
		switch w := was.(type) {
		case map[string]any, []any:
			walk(w, at, change)
			return
		case bool:
			other = !w
		}
		change(at, func() func() { put(other); return func() { put(was) } })
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			was := v[key]
			change(path+"."+key+" left out", func() func() { delete(v, key); return func() { v[key] = was } })
			each(path+"."+key, was, func(now any) { v[key] = now })
		}
	case []any:
		for i, was := range v {
			each(fmt.Sprintf("%s[%d]", path, i), was, func(now any) { v[i] = now })
		}
	}
}

// TestWhatOnlyAnotherMachineCanMake: programs of another Go and hashes of passwords pass by
// their form.
func TestWhatOnlyAnotherMachineCanMake(t *testing.T) {
	// A program says which Go it is of in its text.
	other := []byte(strings.Repeat("x", len(runtime.Version())))
	copy(other, "go1.9")
	put := func(name string, change func(text []byte) []byte) func(dir string) error {
		return func(dir string) error {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name), change(text), 0o755)
		}
	}
	compiled := func(more func([]byte) []byte) func(dir string) error {
		return put("entrypoint", func(text []byte) []byte {
			return more(bytes.ReplaceAll(text, []byte(runtime.Version()), other))
		})
	}
	replace := func(old, new string) func([]byte) []byte {
		return func(text []byte) []byte { return bytes.Replace(text, []byte(old), []byte(new), 1) }
	}
	short := func(text []byte) []byte { return append(text[:len(text)-2], '\n') }
	flip := func(text []byte) []byte { text[len(text)/2] ^= 1; return text }
	environment := []string{"SQUIDFLEET_PASSWORD_ALICE=" + synthtest.Password("alice"),
		"SQUIDFLEET_PASSWORD_BOB=" + synthtest.Password("bob")}
	for _, c := range []struct {
		name, set  string
		staged     func(dir string) error
		given      []string
		file, want string // in the one finding about this file
	}{
		{"of another Go, for another machine", "default", compiled(replace("\x02\x00\x3e", "\x02\x00\xb7")), nil,
			"entrypoint", "EM_AARCH64"},
		{"of this Go, and changed", "default", put("entrypoint", flip), nil, "entrypoint", "is not what the sources"},
		{"hashes", "image", nil, nil, "", ""},
		{"hashes of known passwords", "image", nil, environment, "", ""},
		{"hashes of other passwords", "image", nil, []string{environment[0], environment[1] + "x"},
			"passwords", "line[3]"},
		{"a hash cut short", "image", put("passwords", short), nil, "passwords", "63 digits"},
		{"another user", "image", put("passwords", replace("bob:", "eve:")), nil, "passwords", "eve"},
	} {
		files := assembly(t, c.set)
		if c.staged != nil {
			files = altered(t, c.set, c.staged)
		}
		var found []check.Finding
		for _, f := range judge(t, files, c.given...) {
			if f.Rule != "architecture" { // which finds the other machine as well
				found = append(found, f)
			}
		}
		if c.want == "" && len(found) == 0 {
			continue
		}
		if len(found) != 1 || filepath.Base(found[0].File) != c.file || !strings.Contains(found[0].Message, c.want) {
			t.Errorf("%s: %v, want one finding with %q", c.name, found, c.want)
		}
	}
	files := altered(t, "default", compiled(func(text []byte) []byte { return text }))
	if found := judge(t, files); len(found) > 0 {
		t.Errorf("of another Go: %v", found)
	}
	// A change after the synth is found although the form is right: the hash is not its own.
	name := load(t, files).ImageDirectory() + "/entrypoint"
	files[name] = &fstest.MapFile{Data: flip(files[name].Data)}
	found := judge(t, files)
	if len(found) != 1 || !strings.Contains(found[0].Message, "has changed since it was named") {
		t.Errorf("of another Go, changed after the synth: %v", found)
	}
}

// altered returns the assembly of a set whose build context was changed before it was hashed.
func altered(t *testing.T, set string, staged func(dir string) error) fstest.MapFS {
	t.Helper()
	c := cdkcontext.Cases[set]
	c.Staged = staged
	return synth(t, filepath.Join(t.TempDir(), "cdk.out"), c)
}

// TestParametersThatDoNotFit: what an assembly records is judged with the rest of it.
func TestParametersThatDoNotFit(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"FleetSize": 2`, `"FleetSize": 3`, "lacks tcp 35204 "},
		{`"FleetSize": 2`, `"FleetSize": "two"`, "cannot unmarshal"},
		{`"Realm": "squidfleet"`, `"Realm": "squid\nfleet"`, "cannot be synthesised again"},
		{`"Timezone": "UTC"`, `"Timezone": "Nowhere/City"`, "cannot be synthesised again"},
		{`"VpcID": ""`, `"VpcID": "vpc-00000000000000000"`, "cannot be synthesised again"},
		{`"Users": [
          "proxy"
        ]`, `"Users": []`, "cannot be synthesised again"},
		{check.ParametersKey, "other", "no stack's metadata holds parameters"},
	} {
		e := edited{t, assembly(t, "default")}
		e.replace("Proxy.metadata.json", c.old, c.new)
		if findings := fmt.Sprint(judge(t, e.files)); !strings.Contains(findings, c.want) {
			t.Errorf("%s: %s", c.new, findings)
		}
	}
	e := edited{t, assembly(t, "imported")}
	there := "aws://" + cdkcontext.Account + "/"
	e.replace("manifest.json", there+cdkcontext.Region, there+"us-east-1")
	if findings := fmt.Sprint(judge(t, e.files)); !strings.Contains(findings, "holds no lookup of "+cdkcontext.VPC) {
		t.Errorf("a lookup of another region: %s", findings)
	}
	if findings := fmt.Sprint(judge(t, fstest.MapFS{})); !strings.Contains(findings, "manifest.json: read: ") {
		t.Errorf("no assembly: %s", findings)
	}
}

// TestMakeCheck runs what people run, over an assembly of the CDK's command line with one mistake.
// Each judge finds it, and nothing else.
func TestMakeCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cdk.out")
	command := func(want int, program string, arguments ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), program, arguments...)
		command.Dir = root
		output, err := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != want {
			t.Errorf("%s %q: status %d, want %d, %v\n%s", program, arguments, got, want, err, output)
		}
		return string(output)
	}
	plan := command(0, "make", "--dry-run", "--old-file", "node_modules/.package-lock.json", "deploy", "ASSEMBLY="+dir)
	checks := strings.Index(plan, `/check/cmd -context "cdk.context.json" "`+dir+`"`)
	if deploys := strings.Index(plan, `cdk deploy --all --app "`+dir+`"`); checks < 0 || deploys < checks {
		t.Errorf("make deploy does not check first what it deploys:\n%s", plan)
	}
	command(0, "cdk", "synth", "--quiet", "--output", dir, "-c", "clientCidrs=198.51.100.7/32,2001:db8::/32", "-c",
		"users=alice,bob", "-c", "fleetSize=3", "-c", "@aws-cdk/core:bootstrapQualifier=other")
	e := edited{t, read(t, dir)}
	e.set(network+"AssignPublicIp", "enabled")
	name := e.file("Proxy.template.json")
	if err := os.WriteFile(filepath.Join(dir, name), e.files[name].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	output := command(2, "make", "check", "ASSEMBLY="+dir) // make's own status
	for _, want := range []string{"synth: Resources.Service1.", "public-address: Service1: ", "W3030: Service1: "} {
		if !strings.Contains(output, "\n"+name+": "+want) {
			t.Errorf("%q is not found: %s", want, output)
		}
	}
	if !strings.Contains(output, dir+": 3 findings in ") {
		t.Errorf("more is found: %s", output)
	}
}
