package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
)

// Compare returns where an assembly differs from the one that it should be: the first
// difference of each file. What it has besides, such as files of an earlier synth, does not
// matter, because no manifest names it.
func Compare(got, want fs.FS) []Finding {
	c := comparison{got: got, want: want}
	names, _ := fs.Glob(want, "*") // the pattern is right
	// A hash follows from the content that it is of. Contents come first: where one differs,
	// its hash is not told too.
	for _, name := range names {
		if strings.HasSuffix(name, ".assets.json") {
			ours, theirs := readAssets(want, name).DockerImages, readAssets(got, name).DockerImages
			for _, image := range ours {
				directory := image.Source.Directory // unless the comparison of the manifests tells another
				for _, other := range theirs {
					if info, err := fs.Stat(got, other.Source.Directory); err == nil && info.IsDir() {
						directory = other.Source.Directory
					}
				}
				if c.directory(directory, image.Source.Directory) {
					c.rename(ours, theirs, "")
				}
			}
		}
	}
	for _, name := range names {
		stack, isTemplate := strings.CutSuffix(name, ".template.json")
		if isTemplate && (c.file(name, name) || len(c.renames) > 0) {
			c.rename(readAssets(want, stack+".assets.json").Files, readAssets(got, stack+".assets.json").Files, name)
		}
	}
	for _, name := range names {
		if info, err := fs.Stat(want, name); err == nil && !info.IsDir() && !strings.HasSuffix(name, ".template.json") {
			c.file(name, name)
		}
	}
	return c.findings
}

type comparison struct {
	got, want fs.FS
	renames   []string // hashes of the wanted assembly, each followed by the one in its place
	findings  []Finding
}

// assets is what an asset manifest publishes, by hashes.
type assets struct{ Files, DockerImages map[string]asset }

type asset struct {
	Source       struct{ Path, Directory, Platform string }
	Destinations map[string]struct{ RepositoryName, ImageTag string }
}

// readAssets reads an asset manifest. One that cannot be read is empty, and the comparison of
// its file tells.
func readAssets(files fs.FS, name string) (a assets) {
	if text, err := fs.ReadFile(files, name); err == nil {
		_ = json.Unmarshal(text, &a)
	}
	return a
}

// rename has the hashes of two assets of one source count as the same, and the names of
// destinations that they make.
func (c *comparison) rename(ours, theirs map[string]asset, path string) {
	for hash, asset := range ours {
		for other, their := range theirs {
			if asset.Source.Path != path || their.Source.Path != path {
				continue
			}
			c.renames = append(c.renames, hash, other)
			for name := range asset.Destinations {
				for other := range their.Destinations {
					c.renames = append(c.renames, name, other)
				}
			}
		}
	}
}

func (c *comparison) report(name, message string) bool {
	c.findings = append(c.findings, Finding{name, "synth", message})
	return true
}

// directory compares two build contexts and reports whether they differ.
func (c *comparison) directory(theirs, ours string) (differs bool) {
	if info, err := fs.Stat(c.got, theirs); err != nil || !info.IsDir() {
		return c.report(theirs, "is missing: synthesise again")
	}
	names := map[string]bool{}
	for root, files := range map[string]fs.FS{theirs: c.got, ours + "/": c.want} {
		root = strings.TrimSuffix(root, "/") // the two keys must not be one
		err := fs.WalkDir(files, root, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				names[strings.TrimPrefix(name, root)] = true
				if !entry.Type().IsRegular() {
					differs = c.report(name, "is no plain file")
				}
			}
			return err
		})
		if err != nil {
			differs = c.report(root, err.Error())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		differs = c.file(theirs+name, ours+name) || differs
	}
	return differs
}

// file compares two files and reports whether they differ.
func (c *comparison) file(theirs, ours string) bool {
	got, gotErr := fs.ReadFile(c.got, theirs)
	want, wantErr := fs.ReadFile(c.want, ours)
	switch {
	case gotErr != nil:
		return c.report(theirs, "is missing or cannot be read: synthesise again")
	case wantErr != nil:
		return c.report(theirs, "is not part of what the parameters make")
	case bytes.IndexByte(want, 0) >= 0:
		return !bytes.Equal(got, want) && c.report(theirs, "is not what the sources and the parameters make")
	}
	want = []byte(strings.NewReplacer(c.renames...).Replace(string(want)))
	if bytes.Equal(got, want) {
		return false
	}
	var have, should any
	if path.Ext(theirs) != ".json" {
		return c.report(theirs, difference("line", lines(got), lines(want)))
	}
	if err := json.Unmarshal(got, &have); err != nil {
		return c.report(theirs, "is no JSON: "+err.Error())
	}
	_ = json.Unmarshal(want, &should) // the CDK has just written it
	if d := difference("", have, should); d != "" {
		return c.report(theirs, d)
	}
	return c.report(theirs, "holds the right values, and is not written as the CDK writes them")
}

func lines(text []byte) []any {
	all := []any{0: "(lines count from 1)"}
	for line := range strings.Lines(string(text)) {
		all = append(all, line)
	}
	return all
}

// difference returns the first difference of two JSON values with its path, or "".
func difference(at string, got, want any) string {
	theirs, ours := children(got), children(want)
	if theirs == nil || ours == nil || reflect.TypeOf(got) != reflect.TypeOf(want) {
		if reflect.DeepEqual(got, want) {
			return ""
		}
		return fmt.Sprintf("%s: is %s, want %s", at, show(got), show(want))
	}
	keys := maps.Clone(ours)
	maps.Copy(keys, theirs)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		below := strings.TrimPrefix(at+key, ".")
		value, given := theirs[key]
		wanted, needed := ours[key]
		d := ""
		switch {
		case !given:
			d = fmt.Sprintf("%s: is missing, want %s", below, show(wanted))
		case !needed:
			d = fmt.Sprintf("%s: is %s, want it left out", below, show(value))
		default:
			d = difference(below, value, wanted)
		}
		if d != "" {
			return d
		}
	}
	return ""
}

// children returns the values below a JSON value, by what they add to its path.
func children(v any) map[string]any {
	all := map[string]any{}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			all["."+key] = value
		}
	case []any:
		for i, value := range v {
			all[fmt.Sprintf("[%d]", i)] = value
		}
	default:
		return nil
	}
	return all
}
