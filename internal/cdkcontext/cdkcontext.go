// Package cdkcontext is what tests know of the CDK CLI: the context and the PATH with which it
// runs the app. It does not import the CDK, whose Go bindings start Node.js in every program that
// does.
package cdkcontext

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// Root returns the project's directory.
func Root() string {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "cdk.json")); missing == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			err = fmt.Errorf("no cdk.json in %s or above", dir)
		}
		dir = filepath.Dir(dir)
	}
	panic(err)
}

// NodePath returns a PATH on which the project's Node.js and CDK CLI come first.
func NodePath() (string, error) {
	bin := filepath.Join(Root(), "node_modules", ".bin")
	if _, err := os.Stat(filepath.Join(bin, "cdk")); err != nil {
		return "", fmt.Errorf("the npm packages are missing: run npm ci: %w", err)
	}
	return bin + string(os.PathListSeparator) + os.Getenv("PATH"), nil
}

// Case is a fleet to synthesise.
type Case struct {
	// Changes are the context keys that differ from cdk.json's.
	Changes map[string]any
	// Region is where an imported VPC is looked up; "" is [Region].
	Region string
	// Staged, unless it is nil, may change the image's build context in dir before the CDK takes it.
	Staged func(dir string) error `json:"-"`
}

// Place returns the region of the case.
func (c Case) Place() string { return cmp.Or(c.Region, Region) }

// Context returns cdk.json's context with the changes. With a vpcId it also holds [Lookups], as
// far as the changes do not give another answer.
func (c Case) Context() (map[string]any, error) {
	text, err := os.ReadFile(filepath.Join(Root(), "cdk.json"))
	if err != nil {
		return nil, err
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("cdk.json: %w", err)
	}
	if c.Changes["vpcId"] != nil {
		maps.Copy(file.Context, Lookups(c.Place()))
	}
	maps.Copy(file.Context, c.Changes)
	return file.Context, nil
}

// Files returns the content of every file below dir by its path in dir. There are none if dir
// does not exist.
func Files(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, found fs.DirEntry, err error) error {
		if err != nil || found.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}
