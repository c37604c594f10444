// Package check judges a synthesised CDK assembly before anything of it goes to AWS.
//
// Three judges look at it, each at what the others cannot see:
//
//   - [Compare]: the assembly is what its recorded parameters make when synthesised again;
//   - [Assembly.Broken]: it keeps what the documents promise. A mistake in stacks/ is in both
//     syntheses; a promise knows nothing of stacks/ and finds it;
//   - [Validate]: AWS's offline validation and the rules of cdk-preflight accept the templates.
package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Finding is something wrong with an assembly.
type Finding struct {
	File    string // of the assembly
	Rule    string // "synth", "read", the name of a promise, or a rule of AWS's or cdk-preflight's
	Message string // what is wrong and what would be right, path-first
}

// String returns the finding on one line: file: rule: message.
func (f Finding) String() string { return f.File + ": " + f.Rule + ": " + f.Message }

// Options say what Run judges.
type Options struct {
	// Assembly is the directory that cdk synth wrote.
	Assembly string
	// Context is the file in which the CDK CLI keeps what it looked up; it need not be there.
	Context string
	// Root is the project's directory, with cdk.json and npm's packages.
	Root string
	// Environment may hold the users' passwords, as os.Environ returns it.
	Environment []string
}

// Run returns everything that is wrong with an assembly. An error means that it could not be
// judged. Run uses the CDK: the caller calls stacks.Close before the program ends.
func Run(ctx context.Context, o Options) ([]Finding, error) {
	var lookups map[string]any
	err := readJSON(o.Context, &lookups)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	a, findings := Read(os.DirFS(o.Assembly), lookups)
	if len(findings) > 0 {
		return findings, nil
	}
	if findings, err = a.Judge(ctx, o); err != nil || a.pending != "" {
		return findings, err
	}
	var templates []string
	for _, name := range slices.Sorted(maps.Keys(a.raw)) {
		path, err := filepath.Abs(filepath.Join(o.Assembly, a.file(name))) // Node.js runs in o.Root.
		if err != nil {
			return nil, err
		}
		templates = append(templates, path)
	}
	validated, err := Validate(ctx, o.Root, a.account, a.region, templates...)
	return append(findings, validated...), err
}

// Judge does what Run does, without AWS's validation. It reads no o.Assembly.
func (a *Assembly) Judge(ctx context.Context, o Options) ([]Finding, error) {
	broken := a.Broken()
	if a.pending != "" {
		return broken, nil
	}
	dir, err := os.MkdirTemp("", "squidfleet-check-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	findings, err := a.again(ctx, o, filepath.Join(dir, "cdk.out"))
	return append(broken, findings...), err
}

func readJSON(name string, value any) error {
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// written is a value as JSON.
func written(v any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // JSON values, strings and numbers
	return strings.TrimSuffix(b.String(), "\n")
}

// show writes a value for a message, on one line and not too long.
func show(v any) string { return short(written(v)) }

func short(text string) string {
	const most = 160
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
