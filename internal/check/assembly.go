package check

import (
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"squidfleet/params"
)

// ParametersKey is the type of the metadata entry of a fleet's proxy stack that holds its
// parameters: a params.Params as encoding/json writes it.
const ParametersKey = "squidfleet:parameters"

// Parts of an assembly that are judged like resources.
const (
	stack   = "(stack)"   // in manifest.json
	outputs = "(outputs)" // of the proxy stack
	assets  = "(assets)"  // of the proxy stack
	conf    = "(squid.conf)"
	docker  = "(Dockerfile)"
)

// Assembly is a synthesised CDK app with one fleet.
type Assembly struct {
	// Params are the fleet's parameters, as the assembly records them.
	Params *params.Params

	name            string // of the proxy stack
	files           fs.FS
	lookups         map[string]any // what the CDK CLI looked up and keeps, by its keys
	pending         string         // a lookup that it is yet to make
	account, region string         // where the proxy stack is bound to go; empty if it fits anywhere
	raw             map[string]map[string]any
	resources       []*resource
}

// ImageDirectory is the build context of the fleet's image, as a path inside the assembly.
func (a *Assembly) ImageDirectory() string {
	return a.one(assets).text("dockerImages.*.source.directory")
}

// image returns a file of the build context. The comparison reports one that cannot be read.
func (a *Assembly) image(name string) []byte {
	content, _ := fs.ReadFile(a.files, a.ImageDirectory()+"/"+name)
	return content
}

// proxy is the proxy stack.
func (a *Assembly) proxy() *resource { return a.referred("⟨" + a.name + "⟩") }

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
	var problems []Finding // the first counts
	read := func(name string, value any) {
		text, err := fs.ReadFile(files, name)
		if err == nil {
			err = json.Unmarshal(text, value)
		}
		if err != nil {
			problems = append(problems, Finding{name, "read", err.Error() + ": synthesise again"})
		}
	}
	var manifest any
	read("manifest.json", &manifest)
	a.pending = text(at(manifest, "missing.0.key"))
	artifacts, _ := at(manifest, "artifacts").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(artifacts)) {
		artifact := artifacts[name]
		if at(artifact, "type") != "aws:cloudformation:stack" {
			continue
		}
		var template map[string]any
		var metadata any
		read(a.file(name), &template)
		read(text(at(artifact, "additionalMetadataFile")), &metadata)
		a.raw[name] = template
		a.add(name, "manifest.json", stack, artifact)
		for _, entry := range values(metadata, "*.*") {
			if at(entry, "type") == ParametersKey {
				a.name, a.Params = name, new(params.Params)
				if err := json.Unmarshal([]byte(written(at(entry, "data"))), a.Params); err != nil {
					problems = append(problems, Finding{name, "read", ParametersKey + ": " + err.Error()})
				}
				place := strings.NewReplacer("aws://", "", "unknown-account", "", "unknown-region", "")
				a.account, a.region, _ = strings.Cut(place.Replace(text(at(artifact, "environment"))), "/")
			}
		}
	}
	if a.Params == nil {
		problems = append(problems, Finding{"manifest.json", "read",
			"no stack's metadata holds parameters as " + ParametersKey})
		return nil, problems[:1]
	}
	for _, name := range slices.Sorted(maps.Keys(a.raw)) {
		resources, _ := a.raw[name]["Resources"].(map[string]any)
		for _, id := range slices.Sorted(maps.Keys(resources)) {
			r := a.add(id, a.file(name), "", resources[id])
			r.raw, _ = at(resources[id], "Properties").(map[string]any)
			r.kind, r.properties = text(at(r.whole, "Type")), at(r.whole, "Properties")
		}
	}
	a.add("Outputs", a.file(a.name), outputs, a.raw[a.name]["Outputs"])
	var published any
	read(a.name+".assets.json", &published)
	a.add("assets", a.name+".assets.json", assets, published)
	if len(problems) == 0 && a.ImageDirectory() == "" {
		problems = append(problems, Finding{a.name + ".assets.json", "read", "there is no image: synthesise again"})
	}
	if len(problems) > 0 {
		return nil, problems[:1]
	}
	a.addLines("squid.conf", conf)
	a.addLines("Dockerfile", docker)
	return a, nil
}

// add adds a resource with the canonical form of what is written.
func (a *Assembly) add(id, file, kind string, written any) *resource {
	r := &resource{id: id, file: file, kind: kind, whole: a.canonical(written)}
	r.properties = r.whole
	a.resources = append(a.resources, r)
	return r
}

// file returns the name of a stack's template.
func (a *Assembly) file(stack string) string { return stack + ".template.json" }

// addLines adds a file of the image: the lines of a Dockerfile's last stage, or all that are no
// comments, by their first word, or by two in an access list.
func (a *Assembly) addLines(name, kind string) {
	tree := map[string]any{}
	for line := range strings.Lines(string(a.image(name))) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0][0] == '#':
			continue
		case words[0] == "FROM":
			clear(tree)
		}
		n := 1
		if words[0] == "acl" {
			n = min(2, len(words))
		}
		key := strings.Join(words[:n], " ")
		before, _ := tree[key].([]any)
		tree[key] = append(before, strings.Join(words[n:], " "))
	}
	a.add(name, a.ImageDirectory()+"/"+name, kind, tree)
}
