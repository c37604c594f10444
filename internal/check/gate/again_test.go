package gate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/check"
	"squidfleet/internal/must"
	"squidfleet/internal/synthtest"
)

// TestEveryChangeOfAnAssemblyIsFound takes out files, and changes or takes out some of their lines,
// one at a time.
func TestEveryChangeOfAnAssemblyIsFound(t *testing.T) {
	random, last := rand.New(rand.NewPCG(3, 4)), regexp.MustCompile(`[0-9A-Za-z]([^0-9A-Za-z]*)$`)
	for _, set := range []string{"everything", "imported", "image"} {
		right := assembly(t, set)
		directory := load(t, right).ImageDirectory()
		right[directory+"/entrypoint"] = &fstest.MapFile{Data: []byte("a short \x00 program")}
		want, number := load(t, right), 0
		found := func(name, what string, file *fstest.MapFile) {
			number++
			files := maps.Clone(right)
			if files[name] = file; file == nil {
				delete(files, name)
			}
			a, findings := check.Read(files, lookups)
			if findings == nil {
				findings = a.Compare(want)
			}
			if len(findings) != 1 || findings[0].File != name && findings[0].Rule != "read" {
				t.Errorf("%s: %s %s: %v, want one finding", set, name, what, findings)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(right)) {
			found(name, "left out", nil)
			lines := bytes.SplitAfter(right[name].Data, []byte("\n"))
			for i, line := range lines {
				if i > 0 && random.IntN(45) > 0 {
					continue
				}
				for _, now := range []string{"", last.ReplaceAllString(string(line), "7$1")} {
					text := bytes.Join(slices.Concat(lines[:i], [][]byte{[]byte(now)}, lines[i+1:]), nil)
					if !bytes.Equal(text, right[name].Data) {
						found(name, fmt.Sprintf("with line %d %q", i+1, now), &fstest.MapFile{Data: text})
					}
				}
			}
		}
		found(directory+"/more", "added", &fstest.MapFile{})
		found(directory+"/squid.conf", "a link", &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("Dockerfile")})
		right["Old-Proxy.template.json"] = &fstest.MapFile{Data: []byte("{}")}
		if findings := load(t, right).Compare(want); len(findings) > 0 {
			t.Errorf("%s: what an earlier synth left is found: %v", set, findings)
		}
		if t.Logf("%s: %d changes", set, number); number < 200 {
			t.Errorf("%s: only %d changes", set, number)
		}
	}
}

// TestWhatOnlyAnotherMachineCanMake: programs of another Go and hashes of passwords pass by
// their form.
func TestWhatOnlyAnotherMachineCanMake(t *testing.T) {
	compiled := func(text []byte) []byte { // A program says which Go it is of in its text.
		other := []byte(strings.Repeat("x", len(runtime.Version())))
		copy(other, "go1.9")
		return bytes.ReplaceAll(text, []byte(runtime.Version()), other)
	}
	elsewhere := func(text []byte) []byte {
		return bytes.Replace(compiled(text), []byte("\x02\x00\x3e"), []byte("\x02\x00\xb7"), 1)
	}
	flip := func(text []byte) []byte { text[len(text)/2] ^= 1; return text }
	short := func(text []byte) []byte { return append(text[:len(text)-2], '\n') }
	passwords := []string{"SQUIDFLEET_PASSWORD_ALICE=" + synthtest.Password("alice"),
		"SQUIDFLEET_PASSWORD_BOB=" + synthtest.Password("bob")}
	others := []string{passwords[0], passwords[1] + "x"}
	for _, c := range []struct {
		name, set, file string
		made, changed   func(text []byte) []byte // how the file differs before it is hashed, and after
		given           []string
		want            string // in the one finding, about the file or its directory; "" for none
	}{
		{"of another Go", "default", "entrypoint", compiled, nil, nil, ""},
		{"of another Go, and changed", "default", "entrypoint", compiled, flip, nil, "has changed since it was named"},
		{"of another Go, for another machine", "default", "entrypoint", elsewhere, nil, nil, "EM_AARCH64"},
		{"of this Go, and changed", "default", "entrypoint", nil, flip, nil, "is not what the sources"},
		{"hashes", "image", "passwords", nil, nil, nil, ""},
		{"hashes of known passwords", "image", "passwords", nil, nil, passwords, ""},
		{"hashes of other passwords", "image", "passwords", nil, nil, others, "line[3]"},
		{"a hash cut short", "image", "passwords", short, nil, nil, "63 digits"},
	} {
		files := maps.Clone(assembly(t, c.set))
		if c.made != nil {
			fleet := cdkcontext.Cases[c.set]
			fleet.Staged = func(dir string) error {
				text, err := os.ReadFile(filepath.Join(dir, c.file))
				return errors.Join(err, os.WriteFile(filepath.Join(dir, c.file), c.made(text), 0o755))
			}
			files = synth(t, filepath.Join(t.TempDir(), "cdk.out"), fleet)
		}
		if name := load(t, files).ImageDirectory() + "/" + c.file; c.changed != nil {
			files[name] = &fstest.MapFile{Data: c.changed(slices.Clone(files[name].Data))}
		}
		var found []check.Finding
		for _, f := range judge(t, files, c.given...) {
			if f.Rule != "architecture" { // which finds the other machine as well
				found = append(found, f)
			}
		}
		if len(found) != min(1, len(c.want)) || len(found) == 1 && !strings.Contains(found[0].String(), c.want) {
			t.Errorf("%s: %v, want a finding with %q, or none", c.name, found, c.want)
		}
	}
}

// TestParametersThatDoNotFit: what an assembly records is judged with the rest of it, and findings
// say what is wrong.
func TestParametersThatDoNotFit(t *testing.T) {
	const recorded, impossible = "Proxy.metadata.json", "cannot be synthesised again"
	there := "aws://" + cdkcontext.Account + "/"
	for _, c := range []struct{ set, file, old, new, want string }{
		{"default", recorded, `"FleetSize": 2`, `"FleetSize": 3`, "lacks tcp 35204 "},
		{"default", recorded, `"FleetSize": 2`, `"FleetSize": "two"`, "cannot unmarshal"},
		{"default", recorded, `"Realm": "squidfleet"`, `"Realm": "squid\nfleet"`, impossible},
		{"default", recorded, `"Timezone": "UTC"`, `"Timezone": "Nowhere/City"`, impossible},
		{"default", "Proxy.template.json", `"RetentionInDays": 30`, "", "RetentionInDays: is missing, want 30"},
		{"default", recorded, check.ParametersKey, "other", "no stack's metadata holds parameters"},
		{"default", "manifest.json", "{", "", "manifest.json: read: "},
		{"imported", "manifest.json", there + cdkcontext.Region, there + "us-east-1",
			"holds no lookup of " + cdkcontext.VPC},
	} {
		files := edited(t, assembly(t, c.set), edit{c.file, instead{c.old, c.new}})
		if findings := fmt.Sprint(judge(t, files)); !strings.Contains(findings, c.want) {
			t.Errorf("%s: %s", c.new, findings)
		}
	}
}

// TestMakeCheck runs what people run, over an assembly of the CDK's command line with one mistake.
// Each judge finds it, and nothing else.
func TestMakeCheck(t *testing.T) {
	t.Parallel() // with TestPromises, which alone synthesises in this process meanwhile
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
	files := edited(t, read(t, dir), edit{network + "AssignPublicIp", "enabled"})
	name := named(t, files, "Proxy.template.json")
	must.OK(t, os.WriteFile(filepath.Join(dir, name), files[name].Data, 0o600))
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
