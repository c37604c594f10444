package check

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Compare returns where an assembly differs from the one that it should be: the first difference of
// each file. Hashes of the image's build context are in all other files, and hashes of templates in
// the rest: what comes after the first of these groups with a difference is not compared. What the
// assembly has besides, such as files of an earlier synth, does not matter, because no manifest
// names it.
func (a *Assembly) Compare(want *Assembly) (findings []Finding) {
	ours := want.ImageDirectory()
	theirs := ours
	if _, err := fs.Stat(a.files, ours); err != nil {
		theirs = a.ImageDirectory()
	}
	groups := contents(a.files, theirs)
	for group, need := range contents(want.files, ours) {
		have, all := groups[group], maps.Clone(need)
		if group == 0 {
			maps.Copy(all, have) // All that is there goes into the image.
		}
		for _, file := range slices.Sorted(maps.Keys(all)) {
			problem := ""
			name, given := have[file]
			should, needed := need[file]
			switch {
			case !needed:
				problem = "is not part of what the parameters make"
			case !given:
				name = strings.Replace(should, ours, theirs, 1)
				problem = "is missing or cannot be read: synthesise again"
			default:
				problem = a.contrast(name, want, should)
			}
			if problem != "" {
				findings = append(findings, Finding{name, "synth", problem})
			}
		}
		if findings == nil && theirs != ours {
			const problem = "has changed since it was named after its content: synthesise again"
			findings = []Finding{{theirs, "synth", problem}}
		}
		if findings != nil {
			break
		}
	}
	return findings
}

// contents returns the names of an assembly's files: of the image's build context, of templates and
// of others, by what they are in each assembly.
func contents(files fs.FS, context string) [3]map[string]string {
	groups := [3]map[string]string{{}, {}, {}}
	_ = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		file, inImage := strings.CutPrefix(name, context+"/")
		switch {
		case err != nil, entry.IsDir(): // What cannot be read is missing.
		case inImage:
			groups[0][file] = name
		case strings.Contains(name, "/"): // the build context of an earlier synth
		case strings.HasSuffix(name, ".template.json"):
			groups[1][file] = name
		default:
			groups[2][file] = name
		}
		return nil
	})
	return groups
}

// contrast returns the first difference between a file and the one that it should be, or "".
func (a *Assembly) contrast(name string, other *Assembly, should string) string {
	got, _ := fs.ReadFile(a.files, name) // what cannot be read differs
	want, _ := fs.ReadFile(other.files, should)
	var have, need any
	info, err := fs.Lstat(a.files, name)
	switch {
	case err != nil || !info.Mode().IsRegular():
		return "is no plain file"
	case bytes.Equal(got, want):
		return ""
	case bytes.IndexByte(want, 0) >= 0:
		return "is not what the sources and the parameters make"
	case path.Ext(name) != ".json":
		return difference(lines(got), lines(want))
	case json.Unmarshal(got, &have) != nil:
		return "is no JSON"
	}
	_ = json.Unmarshal(want, &need) // the CDK has just written it
	return cmp.Or(difference(leaves("", have), leaves("", need)), "is not written as the CDK writes it")
}

// leaf is a value without others below it, written as JSON.
type leaf struct{ path, value string }

// leaves returns those of a JSON value in an order that depends on nothing else.
func leaves(at string, v any) (all []leaf) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, leaves(strings.TrimPrefix(at+"."+key, "."), v[key])...)
		}
	case []any:
		for i, item := range v {
			all = append(all, leaves(fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	}
	if all == nil {
		return []leaf{{at, written(v)}}
	}
	return all
}

func lines(text []byte) (all []leaf) {
	for line := range strings.Lines(string(text)) {
		all = append(all, leaf{fmt.Sprintf("line[%d]", len(all)+1), written(line)})
	}
	return all
}

// difference returns the first difference of two lists of leaves, or "".
func difference(got, want []leaf) string {
	for i := 0; ; i++ {
		switch {
		case i == len(got) && i == len(want):
			return ""
		case i < len(got) && i < len(want) && got[i] == want[i]:
		case i == len(want), i < len(got) && !slices.ContainsFunc(want, got[i].isAbove):
			return fmt.Sprintf("%s: is %s, want it left out", got[i].path, short(got[i].value))
		case i == len(got), got[i].path != want[i].path:
			return fmt.Sprintf("%s: is missing, want %s", want[i].path, short(want[i].value))
		default:
			return fmt.Sprintf("%s: is %s, want %s", got[i].path, short(got[i].value), short(want[i].value))
		}
	}
}

// isAbove reports whether another leaf is at the same place, or below it.
func (l leaf) isAbove(other leaf) bool {
	return l.path == other.path || strings.HasPrefix(other.path, l.path+".")
}
