package check

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Compare returns where an assembly differs from the one that it should be: the first difference of
// each file. What it has besides, such as files of an earlier synth, does not matter, because no
// manifest names it.
func Compare(got, want fs.FS) []Finding {
	c := comparison{got: got, want: want}
	names, _ := fs.Glob(want, "*") // the pattern is right
	rank := func(name string) int {
		switch {
		case isDirectory(want, name):
			return 0
		case strings.HasSuffix(name, ".template.json"):
			return 1
		}
		return 2
	}
	// A hash follows from a content. Contents come first.
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	for _, name := range names {
		if rank(name) > 0 {
			c.file(name, name)
			continue
		}
		theirs := c.context(name)
		if c.directory(theirs, name); len(c.findings) == 0 && theirs != name {
			c.report(theirs, "has changed since it was named after its content: synthesise again")
		}
	}
	return c.findings
}

type comparison struct {
	got, want fs.FS
	findings  []Finding
}

func (c *comparison) report(name, message string) {
	c.findings = append(c.findings, Finding{name, "synth", message})
}

func isDirectory(files fs.FS, name string) bool {
	info, err := fs.Stat(files, name)
	return err == nil && info.IsDir()
}

var named = regexp.MustCompile(`"directory": *"(asset\.[^"]+)"`)

// context returns the build context that takes the place of a wanted one: that of the same name, or
// the one that an asset manifest names.
func (c *comparison) context(name string) string {
	if isDirectory(c.got, name) {
		return name
	}
	manifests, _ := fs.Glob(c.got, "*.assets.json") // the pattern is right
	for _, manifest := range manifests {
		text, _ := fs.ReadFile(c.got, manifest) // the comparison of the manifest tells
		if m := named.FindSubmatch(text); m != nil {
			return string(m[1])
		}
	}
	return name
}

// directory compares two build contexts.
func (c *comparison) directory(theirs, ours string) {
	names := map[string]bool{}
	sides := []struct {
		files fs.FS
		root  string
	}{{c.got, theirs}, {c.want, ours}}
	for _, side := range sides {
		err := fs.WalkDir(side.files, side.root, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				names[strings.TrimPrefix(name, side.root)] = true
				if !entry.Type().IsRegular() {
					c.report(name, "is no plain file")
				}
			}
			return err
		})
		if err != nil {
			c.report(theirs, "is missing or cannot be read: synthesise again")
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.file(theirs+name, ours+name)
	}
}

// hashed matches hashes of contents, and the ends of names that are made of them.
var hashed = regexp.MustCompile(`[0-9a-f]{64}|-[0-9a-f]{8}"`)

// file compares two files.
func (c *comparison) file(theirs, ours string) {
	got, gotErr := fs.ReadFile(c.got, theirs)
	want, wantErr := fs.ReadFile(c.want, ours)
	binary := bytes.IndexByte(want, 0) >= 0
	if len(c.findings) > 0 && !binary && !bytes.Equal(got, want) { // hashes are other ones then
		got, want = hashed.ReplaceAll(got, []byte("#")), hashed.ReplaceAll(want, []byte("#"))
	}
	var have, should any
	switch {
	case gotErr != nil:
		c.report(theirs, "is missing or cannot be read: synthesise again")
	case wantErr != nil:
		c.report(theirs, "is not part of what the parameters make")
	case bytes.Equal(got, want):
	case binary:
		c.report(theirs, "is not what the sources and the parameters make")
	case path.Ext(theirs) != ".json":
		c.report(theirs, difference("line", lines(got), lines(want)))
	case json.Unmarshal(got, &have) != nil:
		c.report(theirs, "is no JSON")
	default:
		_ = json.Unmarshal(want, &should) // the CDK has just written it
		c.report(theirs, cmp.Or(difference("", have, should), "is not written as the CDK writes it"))
	}
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
		if !given {
			return fmt.Sprintf("%s: is missing, want %s", below, show(wanted))
		}
		if !needed {
			return fmt.Sprintf("%s: is %s, want it left out", below, show(value))
		}
		if d := difference(below, value, wanted); d != "" {
			return d
		}
	}
	return ""
}

// children returns the values below a JSON value, by what they add to its path; nil if it has no
// room for any.
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
