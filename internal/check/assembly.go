package check

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"squidfleet/params"
)

// ParametersKey is the type of the metadata entry of a fleet's proxy stack that holds its
// parameters: a params.Params as encoding/json writes it.
const ParametersKey = "squidfleet:parameters"

// Assembly is a synthesised CDK app with one fleet.
type Assembly struct {
	// Params are the fleet's parameters, as the assembly records them.
	Params *params.Params
	// Name is the proxy stack's.
	Name string

	files           fs.FS
	lookups         map[string]any // what the CDK CLI looked up and keeps, by its keys
	pending         string         // a lookup that it is yet to make
	account, region string         // where the proxy stack is bound to go; empty if it fits anywhere
	qualifier       string         // is part of the names of everything that "cdk bootstrap" made
	paths           bool           // templates tell the paths of constructs
	before          []any          // what is deployed before the proxy stack
	protected       any            // against cdk destroy
	templates       []Template     // the proxy's is the first
	raw             map[string]map[string]any
	outputs         map[string]any // the proxy stack's, canonical
	resources       []*resource
	images          []image
	conf            [][]string // squid.conf and the Dockerfile: words of lines
	dockerfile      [][]string
	program         []byte
}

// image is a container image that the CDK CLI builds and pushes.
type image struct {
	Source       struct{ Directory, Platform string }
	Destinations map[string]struct{ RepositoryName, ImageTag string }
}

// ImageDirectory is the build context of the fleet's image, as a path inside the assembly.
func (a *Assembly) ImageDirectory() string { return a.images[0].Source.Directory }

// Properties returns the properties of each resource of a type, as the templates have them.
func (a *Assembly) Properties(kind string) (all []map[string]any) {
	for _, r := range a.all(kind) {
		all = append(all, r.raw)
	}
	return all
}

// Read reads the assembly in files, with what the CDK CLI has looked up. It is nil if the
// findings say that there is nothing to judge.
func Read(files fs.FS, lookups map[string]any) (*Assembly, []Finding) {
	a := &Assembly{files: files, lookups: lookups, raw: map[string]map[string]any{}}
	var m struct {
		Artifacts map[string]map[string]any
		Missing   []struct{ Key string }
	}
	if findings := readJSON(files, "manifest.json", &m); findings != nil {
		return nil, findings
	}
	for _, missing := range m.Missing {
		a.pending = missing.Key
	}
	for _, name := range slices.Sorted(maps.Keys(m.Artifacts)) {
		artifact := m.Artifacts[name]
		if artifact["type"] != "aws:cloudformation:stack" {
			continue
		}
		var raw map[string]any
		var metadata map[string][]struct {
			Type string
			Data json.RawMessage
		}
		t := Template{Path: text(at(artifact, "properties.templateFile"))}
		findings := readJSON(files, t.Path, &raw)
		findings = append(findings, readJSON(files, text(artifact["additionalMetadataFile"]), &metadata)...)
		if findings != nil {
			return nil, findings
		}
		a.raw[name] = raw
		environment := strings.NewReplacer("aws://", "", "unknown-account", "", "unknown-region", "")
		t.Account, t.Region, _ = strings.Cut(environment.Replace(text(artifact["environment"])), "/")
		a.templates = append(a.templates, t)
		for _, entry := range slices.Concat(slices.Collect(maps.Values(metadata))...) {
			if entry.Type != ParametersKey {
				continue
			}
			a.Params = new(params.Params)
			if err := json.Unmarshal(entry.Data, a.Params); err != nil {
				return nil, []Finding{{name, "read", ParametersKey + ": " + err.Error()}}
			}
			last := len(a.templates) - 1
			a.templates[0], a.templates[last] = a.templates[last], a.templates[0]
			a.Name, a.account, a.region = name, t.Account, t.Region
			a.before, a.protected = list(artifact["dependencies"]), at(artifact, "properties.terminationProtection")
			version := text(at(artifact, "properties.bootstrapStackVersionSsmParameter"))
			if part := strings.Split(version, "/"); len(part) == 4 {
				a.qualifier = part[2]
			}
		}
	}
	if a.Params == nil {
		return nil, []Finding{{"manifest.json", "read", "no stack's metadata holds parameters as " + ParametersKey}}
	}
	for name, raw := range a.raw {
		resources, _ := raw["Resources"].(map[string]any)
		for id, written := range resources {
			r := &resource{id: id, stack: name, file: a.file(name), whole: a.canonical(written)}
			r.raw, _ = at(written, "Properties").(map[string]any)
			r.kind, r.properties = text(at(r.whole, "Type")), at(r.whole, "Properties")
			a.paths = a.paths || at(r.whole, "Metadata.aws:cdk:path") != nil
			a.resources = append(a.resources, r)
		}
	}
	slices.SortFunc(a.resources, func(x, y *resource) int { return strings.Compare(x.stack+x.id, y.stack+y.id) })
	a.outputs, _ = a.canonical(a.raw[a.Name]["Outputs"]).(map[string]any)
	var published struct{ DockerImages map[string]image }
	if findings := readJSON(files, a.Name+".assets.json", &published); findings != nil {
		return nil, findings
	}
	if a.images = slices.Collect(maps.Values(published.DockerImages)); len(a.images) == 0 {
		return nil, []Finding{{a.Name + ".assets.json", "read", "there is no image: synthesise again"}}
	}
	a.conf, a.dockerfile = a.words("squid.conf"), a.words("Dockerfile")
	a.program, _ = fs.ReadFile(files, a.ImageDirectory()+"/entrypoint") // the comparison tells
	return a, nil
}

// file returns the name of a stack's template.
func (a *Assembly) file(stack string) string { return stack + ".template.json" }

func readJSON(files fs.FS, name string, value any) []Finding {
	text, err := fs.ReadFile(files, name)
	if err == nil {
		err = json.Unmarshal(text, value)
	}
	if err != nil {
		return []Finding{{name, "read", fmt.Sprintf("%v: synthesise again", err)}}
	}
	return nil
}

// words returns the words of each line of a file of the image that is no comment.
func (a *Assembly) words(name string) (all [][]string) {
	content, _ := fs.ReadFile(a.files, a.ImageDirectory()+"/"+name) // the comparison tells
	for line := range strings.Lines(string(content)) {
		if words := strings.Fields(line); len(words) > 0 && words[0][0] != '#' {
			all = append(all, words)
		}
	}
	return all
}
