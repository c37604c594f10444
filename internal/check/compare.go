package check

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Compare returns where an assembly differs from the one that it should be: the first difference of
// each file. What it has besides, such as files of an earlier synth, does not matter, because no
// manifest names it.
func (a *Assembly) Compare(want *Assembly) (findings []Finding) {
	report := func(name, problem string) {
		if problem != "" {
			findings = append(findings, Finding{name, "synth", problem})
		}
	}
	ours := want.ImageDirectory()
	theirs := ours
	if _, err := fs.Stat(a.files, ours); err != nil {
		theirs = a.ImageDirectory()
	}
	have, need := contents(a.files, theirs), contents(want.files, ours)
	all := maps.Clone(need)
	maps.Copy(all, have)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if key[0] != '0' && theirs != ours && len(findings) == 0 {
			report(theirs, "has changed since it was named after its content: synthesise again")
		}
		name, given := have[key]
		should, needed := need[key]
		switch {
		case !given:
			report(strings.Replace(should, ours, theirs, 1), "is missing or cannot be read: synthesise again")
		case needed:
			got, _ := fs.ReadFile(a.files, name) // what cannot be read differs
			right, _ := fs.ReadFile(want.files, should)
			if info, err := fs.Lstat(a.files, name); err == nil && !info.Mode().IsRegular() {
				report(name, "is no plain file")
			} else {
				report(name, contrast(name, got, right, len(findings) > 0))
			}
		case key[0] == '0':
			report(name, "is not part of what the parameters make")
		}
	}
	return findings
}

// contents returns the names of an assembly's files by what they are in each assembly. The keys
// are in the order of comparison: a hash follows from a content, so the build context comes
// first.
func contents(files fs.FS, context string) map[string]string {
	names := map[string]string{}
	_ = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		key := "2 " + name
		if inside, ok := strings.CutPrefix(name, context+"/"); ok {
			key = "0 " + inside
		} else if strings.HasSuffix(name, ".template.json") {
			key = "1 " + name
		}
		// Other directories are build contexts of earlier synths. What cannot be read is missing.
		if err == nil && !entry.IsDir() && (key[0] == '0' || !strings.Contains(name, "/")) {
			names[key] = name
		}
		return nil
	})
	return names
}

// hashed matches hashes of contents, and the ends of names that are made of them.
var hashed = regexp.MustCompile(`[0-9a-f]{64}|-[0-9a-f]{8}"`)

// contrast returns the first difference of two files, or "".
func contrast(name string, got, want []byte, otherHashes bool) string {
	binary := bytes.IndexByte(want, 0) >= 0
	if otherHashes && !binary && !bytes.Equal(got, want) {
		got, want = hashed.ReplaceAll(got, []byte("#")), hashed.ReplaceAll(want, []byte("#"))
	}
	var have, should any
	switch {
	case bytes.Equal(got, want):
		return ""
	case binary:
		return "is not what the sources and the parameters make"
	case path.Ext(name) != ".json":
		return difference(lines(got), lines(want))
	case json.Unmarshal(got, &have) != nil:
		return "is no JSON"
	}
	_ = json.Unmarshal(want, &should) // the CDK has just written it
	return cmp.Or(difference(leaves("", have), leaves("", should)), "is not written as the CDK writes it")
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
		case i == len(want), i < len(got) && !slices.ContainsFunc(want, got[i].isAt):
			return fmt.Sprintf("%s: is %s, want it left out", got[i].path, short(got[i].value))
		case i == len(got), got[i].path != want[i].path:
			return fmt.Sprintf("%s: is missing, want %s", want[i].path, short(want[i].value))
		default:
			return fmt.Sprintf("%s: is %s, want %s", got[i].path, short(got[i].value), short(want[i].value))
		}
	}
}

func (l leaf) isAt(other leaf) bool { return l.path == other.path }
