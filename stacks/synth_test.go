package stacks

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"squidfleet/params"
	"squidfleet/squid"
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

// runTests runs the tests in a process of their own: the CDK's Go bindings settle how Node.js is started before the first line of this program runs.
func runTests(m *testing.M) int {
	defer Close()
	const inside = "SQUIDFLEET_TEST_PROCESS"
	if os.Getenv(inside) != "" {
		return runTestsHere(m)
	}
	bin, err := filepath.Abs("../node_modules/.bin")
	if err == nil {
		_, err = os.Stat(filepath.Join(bin, "cdk"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the npm packages are missing: run npm ci:", err)
		return 1
	}
	tests := exec.Command(os.Args[0], os.Args[1:]...)
	tests.Stdout, tests.Stderr = os.Stdout, os.Stderr
	tests.Env = append(os.Environ(), inside+"=1",
		"JSII_DEPRECATED=fail", // A deprecated part of the CDK is an error here, not a warning at every synth.
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := tests.Run(); tests.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code := tests.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 1 // ended by a signal
}

func runTestsHere(m *testing.M) int {
	var err error
	if assemblies, err = os.MkdirTemp("", "squidfleet-stacks-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(assemblies)
	return m.Run()
}

// assemblies is where the tests synthesise to.
var assemblies string

// assembly is a synthesised app.
type assembly struct {
	dir            string
	params         *params.Params
	network, proxy template // of the first fleet; network is empty with an imported VPC
	image          string   // directory of the image asset of the first fleet
	templates      map[string]template
}

type template struct {
	Resources map[string]resource
	Outputs   map[string]struct {
		Description string
		Value       any
		Export      any
	}
}

type resource struct {
	Type                string
	Properties          map[string]any
	DependsOn           []string
	DeletionPolicy      string
	UpdateReplacePolicy string
}

// cdkContext returns cdk.json's context with some values changed.
func cdkContext(t *testing.T, changes map[string]any) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	maps.Copy(file.Context, changes)
	return file.Context
}

// parse reads the parameters from a context.
func parse(t *testing.T, context map[string]any) *params.Params {
	t.Helper()
	p, err := params.Parse(context)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Where the tests' imported VPC is.
const (
	account = "123456789012"
	region  = "eu-west-1"
)

var synthesised = map[string]*assembly{}

// synth synthesises the fleet of the given parameters, or several fleets in one app, as app.go does, once for each set of parameters.
func synth(t *testing.T, fleets ...map[string]any) *assembly {
	t.Helper()
	if len(fleets) == 0 {
		fleets = []map[string]any{nil}
	}
	key, err := json.Marshal(fleets)
	if err != nil {
		t.Fatal(err)
	}
	if done := synthesised[string(key)]; done != nil {
		return done
	}
	a := synthTo(t, filepath.Join(assemblies, fmt.Sprint(len(synthesised))), fleets...)
	synthesised[string(key)] = a
	return a
}

func synthTo(t *testing.T, dir string, fleets ...map[string]any) *assembly {
	t.Helper()
	// Whatever one of the fleets looks up is in the context of all.
	everything := map[string]any{}
	for _, changes := range fleets {
		maps.Copy(everything, changes)
	}
	app := newTestApp(t, dir, everything)
	a := &assembly{dir: dir, templates: map[string]template{}}
	for i, changes := range fleets {
		p := parse(t, cdkContext(t, changes))
		fleet := Input{Params: p, Account: account, Region: region}
		if p.Credentials == params.CredentialsImage {
			for _, user := range p.Users {
				fleet.Passwords = append(fleet.Passwords, squid.Credential{User: user, Password: plaintext})
			}
		}
		if err := fleet.Add(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			a.params = p
		}
	}
	if err := app.Synth(); err != nil {
		t.Fatal(err)
	}
	a.read(t)
	return a
}

// plaintext is the password of every user with credentials=image.
const plaintext = "plaintext-of-the-tests"

func newTestApp(t *testing.T, dir string, changes map[string]any) *App {
	t.Helper()
	app, err := NewApp(dir, cdkContext(t, changes))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Discard(); err != nil {
			t.Error(err)
		}
	})
	return app
}

func (a *assembly) read(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(a.dir, "*.template.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no template in %s: %v", a.dir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var one template
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatal(err)
		}
		a.templates[strings.TrimSuffix(filepath.Base(file), ".template.json")] = one
	}
	a.network = a.templates[a.params.StackName+"-Network"]
	a.proxy = a.templates[a.params.StackName+"-Proxy"]
	manifest, err := os.ReadFile(filepath.Join(a.dir, a.params.StackName+"-Proxy.assets.json"))
	if err != nil {
		t.Fatal(err)
	}
	var assets struct {
		DockerImages map[string]struct {
			Source struct{ Directory, Platform string }
		}
	}
	if err := json.Unmarshal(manifest, &assets); err != nil {
		t.Fatal(err)
	}
	for _, image := range assets.DockerImages {
		a.image = filepath.Join(a.dir, image.Source.Directory)
	}
}

// file returns the text of a file of the staged image.
func (a *assembly) file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.image, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ids returns the logical ids of all resources of a type, sorted.
func (t template) ids(resourceType string) []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		if t.Resources[id].Type == resourceType {
			ids = append(ids, id)
		}
	}
	return ids
}

// only returns the one resource of a type and its logical id.
func (t template) only(test *testing.T, resourceType string) (string, map[string]any) {
	test.Helper()
	ids := t.ids(resourceType)
	if len(ids) != 1 {
		test.Fatalf("%d resources of type %s, want 1", len(ids), resourceType)
	}
	return ids[0], t.Resources[ids[0]].Properties
}

// without returns properties that are left after some are taken out.
func without(properties map[string]any, names ...string) map[string]any {
	rest := maps.Clone(properties)
	for _, name := range names {
		delete(rest, name)
	}
	return rest
}

// container returns the properties of the task's one container.
func (t template) container(test *testing.T) map[string]any {
	test.Helper()
	_, task := t.only(test, "AWS::ECS::TaskDefinition")
	containers := task["ContainerDefinitions"].([]any)
	if len(containers) != 1 {
		test.Fatalf("%d containers, want 1", len(containers))
	}
	return containers[0].(map[string]any)
}

// equal compares a part of a template with what it should be, written as JSON.
func equal(t *testing.T, what string, got any, want string) {
	t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatalf("%s: the expectation is not JSON: %v", what, err)
	}
	if g, w := indented(t, got), indented(t, wanted); g != w {
		t.Errorf("%s is\n%s\nwant\n%s", what, g, w)
	}
}

func indented(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// attribute returns the value of an attribute that stands exactly once in a list of Key and Value.
func attribute(t *testing.T, list any, key string) string {
	t.Helper()
	var values []string
	for _, entry := range list.([]any) {
		if pair := entry.(map[string]any); pair["Key"] == key {
			values = append(values, pair["Value"].(string))
		}
	}
	if len(values) != 1 {
		t.Fatalf("attribute %s has values %q, want one", key, values)
	}
	return values[0]
}
