package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"squidfleet/params"
)

// Assembly is a synthesised CDK app. What could not be read is missing from it; Load's findings tell.
type Assembly struct {
	// Stacks are the stacks, by name.
	Stacks []*Stack
	// ContextFile names the file that Lookups come from; findings about them carry it.
	ContextFile string
	// Lookups is what the CDK CLI has looked up and keeps, by its keys.
	Lookups map[string]any
}

// Stack is one stack of an assembly.
type Stack struct {
	Name string
	// Account and Region are where the stack is bound to go, and empty if it fits anywhere.
	Account, Region string
	// Qualifier is part of the names of everything that "cdk bootstrap" made for the stack.
	Qualifier string
	// TemplateFile is the path of the template.
	TemplateFile string
	// Raw is the template as JSON has it.
	Raw map[string]any
	// After holds the names of the stacks that are deployed before this one.
	After []string
	// Parameters are those of the fleet if this is its proxy stack, and nil otherwise.
	Parameters *params.Params
	// Images are the container images that are built for the stack.
	Images []Image
}

// Image is a container image that the CDK CLI builds from the assembly and pushes.
type Image struct {
	Hash       string // names the asset
	Directory  string // path of the build context
	Platform   string // Docker's name, for example linux/amd64
	Repository string // with the CDK's placeholders, ${AWS::AccountId} and others
	Tag        string
	Files      map[string][]byte // the build context by slash-separated paths; nil if it could not be read
}

// loader collects what is wrong with an assembly while it is read.
type loader struct {
	dir      string
	findings []Finding
}

func (l *loader) report(file, rule, format string, args ...any) {
	l.findings = append(l.findings, Finding{file, none, rule, fmt.Sprintf(format, args...), Files})
}

// Load reads the assembly in dir and the file of the CLI's lookups, and returns what is wrong with the files: missing, unreadable, not what their hash says, or
// at odds with one another.
func Load(dir, contextFile string) (*Assembly, []Finding) {
	l := &loader{dir: dir}
	a := &Assembly{ContextFile: filepath.Base(contextFile)}
	a.Lookups = l.lookups(contextFile)
	var all manifest
	if !l.json("manifest.json", &all) {
		return a, l.findings
	}
	l.compare("manifest.json", "manifest", "version", all.Version, schemaVersion)
	for _, missing := range all.Missing {
		l.report("manifest.json", "pending-lookup", "missing: the assembly waits for the lookup %s; run cdk synth with credentials until nothing is missing", missing.Key)
	}
	for _, id := range slices.Sorted(maps.Keys(all.Artifacts)) {
		artifact := all.Artifacts[id]
		for i, dependency := range artifact.Dependencies {
			if _, there := all.Artifacts[dependency]; !there {
				l.report(id, "manifest", "dependencies[%d]: there is no artifact %q", i, dependency)
			}
		}
		switch artifact.Type {
		case "aws:cloudformation:stack":
			a.Stacks = append(a.Stacks, l.stack(id, artifact, all))
		case "cdk:asset-manifest":
			// What it publishes is read with the stack that depends on it.
			if !slices.ContainsFunc(slices.Collect(maps.Values(all.Artifacts)), func(other manifestArtifact) bool { return slices.Contains(other.Dependencies, id) }) {
				l.report(id, "manifest", "no stack depends on this asset manifest, so that its assets would not be published first")
			}
		case "cdk:tree":
			l.exists(id, artifact.property("file"))
		case "cdk:feature-flag-report":
		default:
			l.report(id, "manifest", "type: %q is not one that a fleet's assembly has", artifact.Type)
		}
	}
	if len(a.Stacks) == 0 {
		l.report("manifest.json", "manifest", "artifacts: there is no stack")
	}
	l.validationReport()
	return a, append(l.findings, checkLookups(a)...)
}

type manifest struct {
	Version   any
	Artifacts map[string]manifestArtifact
	Missing   []struct{ Key string }
}

// manifestArtifact holds what is of interest in an artifact of any type.
type manifestArtifact struct {
	Type                   string
	Environment            string
	Dependencies           []string
	AdditionalMetadataFile string
	Metadata               map[string][]metadataEntry
	Properties             map[string]any
}

// property returns a property that is a text, and "" for any other.
func (a manifestArtifact) property(name string) string {
	text, _ := a.Properties[name].(string)
	return text
}

type metadataEntry struct {
	Type string
	Data json.RawMessage
}

func (l *loader) stack(id string, artifact manifestArtifact, all manifest) *Stack {
	s := &Stack{Name: id}
	if name := artifact.property("stackName"); name != "" {
		s.Name = name
	}
	account, region, found := strings.Cut(strings.TrimPrefix(artifact.Environment, "aws://"), "/")
	if !found {
		l.report(s.Name, "manifest", "environment: %q is not aws://account/region", artifact.Environment)
	}
	if account != "unknown-account" {
		s.Account = account
	}
	if region != "unknown-region" {
		s.Region = region
	}
	if artifact.Properties["terminationProtection"] == true {
		l.report(s.Name, "removal", "terminationProtection: true; cdk destroy would leave the stack behind")
	}
	template := artifact.property("templateFile")
	s.TemplateFile = filepath.Join(l.dir, filepath.Base(template))
	var raw map[string]any
	if l.json(template, &raw) {
		s.Raw = raw
	}
	l.deployment(s, id, artifact)
	l.metadata(s, artifact)
	published := false
	for _, dependency := range artifact.Dependencies {
		switch other := all.Artifacts[dependency]; other.Type {
		case "aws:cloudformation:stack":
			s.After = append(s.After, dependency)
		case "cdk:asset-manifest":
			published = l.assets(s, dependency, other, artifact) || published
		}
	}
	if !published {
		l.report(s.Name, "asset", "no asset manifest that the stack depends on publishes its template %q", template)
	}
	return s
}

// metadata reads the fleet's parameters and looks for errors that constructs have left.
func (l *loader) metadata(s *Stack, artifact manifestArtifact) {
	entries := artifact.Metadata
	if artifact.AdditionalMetadataFile != "" {
		var more map[string][]metadataEntry
		if !l.json(artifact.AdditionalMetadataFile, &more) {
			return
		}
		entries = more
	}
	for _, path := range slices.Sorted(maps.Keys(entries)) {
		for _, e := range entries[path] {
			switch e.Type {
			case "aws:cdk:error":
				l.report(s.Name, "annotation", "%s: %s", path, e.Data)
			case ParametersKey:
				p := new(params.Params)
				err := json.Unmarshal(e.Data, p)
				if err == nil && (p.FleetSize < 1 || len(p.Users) == 0) {
					err = errors.New("a fleet has a task and a user at least")
				}
				if err != nil {
					l.report(s.Name, "parameters", "%s: %s: %v", path, ParametersKey, err)
					continue
				}
				s.Parameters = p
			}
		}
	}
}

// validationReport looks at what the CDK itself found at synth.
func (l *loader) validationReport() {
	const name = "validation-report.json"
	if _, err := os.Stat(filepath.Join(l.dir, name)); errors.Is(err, fs.ErrNotExist) {
		return
	}
	var report struct {
		PluginReports []struct{ PluginName, Conclusion string }
	}
	if !l.json(name, &report) {
		return
	}
	for _, r := range report.PluginReports {
		if r.Conclusion != "success" {
			l.report(name, "annotation", "%s: %s; synthesise again and mend what it tells", r.PluginName, r.Conclusion)
		}
	}
}

// lookups reads what the CDK CLI keeps between runs.
func (l *loader) lookups(name string) map[string]any {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var values map[string]any
	if err == nil {
		err = json.Unmarshal(text, &values)
	}
	if err != nil {
		l.report(filepath.Base(name), "context", "%v", err)
	}
	return values
}

// json reads a file of the assembly. A name that leads out of the assembly is none.
func (l *loader) json(name string, value any) bool {
	if !l.exists("manifest.json", name) {
		return false
	}
	text, err := os.ReadFile(filepath.Join(l.dir, name))
	if err == nil {
		err = json.Unmarshal(text, value)
	}
	if err != nil {
		l.report(name, "manifest", "%v", err)
	}
	return err == nil
}

func (l *loader) exists(from, name string) bool {
	if !filepath.IsLocal(name) {
		l.report(from, "manifest", "%q is not a file of the assembly", name)
		return false
	}
	if _, err := os.Stat(filepath.Join(l.dir, name)); err != nil {
		l.report(from, "manifest", "%s is missing: synthesise again", name)
		return false
	}
	return true
}
