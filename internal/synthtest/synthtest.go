// Package synthtest synthesises fleets for tests, with the context that the CDK CLI gives the app.
// Tests that use it need Node.js and the npm packages.
package synthtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
	"squidfleet/stacks"
)

// Main runs the tests of a package and ends the program. TestMain calls it.
func Main(m *testing.M) { os.Exit(run(m)) }

// run runs the tests in a process of their own, with the project's Node.js first on PATH: the
// CDK's Go bindings start Node.js before the first line of the program runs.
func run(m *testing.M) int {
	defer stacks.Close()
	const inside = "SQUIDFLEET_TEST_PROCESS"
	if os.Getenv(inside) != "" {
		return runHere(m)
	}
	path, err := NodePath()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tests := exec.Command(os.Args[0], os.Args[1:]...)
	tests.Stdout, tests.Stderr = os.Stdout, os.Stderr
	// In a test, a deprecated part of the CDK is an error instead of a warning at every synth.
	tests.Env = append(os.Environ(), inside+"=1", "JSII_DEPRECATED=fail", "PATH="+path)
	if err := tests.Run(); tests.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code := tests.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 1 // ended by a signal
}

func runHere(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "squidfleet-synth-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

var scratch string

// Scratch returns a directory for what several tests share. Main removes it.
func Scratch() string { return scratch }

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
}

func (c Case) region() string {
	if c.Region == "" {
		return Region
	}
	return c.Region
}

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
		maps.Copy(file.Context, Lookups(c.region()))
	}
	maps.Copy(file.Context, c.Changes)
	return file.Context, nil
}

// Password returns the password of a user with credentials=image.
func Password(user string) string { return "a password of " + user }

// Add adds the fleet to a new app that writes to dir. The error is that of [stacks.Input.Add].
func (c Case) Add(t testing.TB, dir string) (*stacks.App, *params.Params, error) {
	t.Helper()
	context, err := c.Context()
	if err != nil {
		t.Fatal(err)
	}
	p, err := params.Parse(context)
	if err != nil {
		t.Fatal(err)
	}
	app, err := stacks.NewApp(dir, context)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Discard(); err != nil {
			t.Error(err)
		}
	})
	input := stacks.Input{Params: p, Account: Account, Region: c.region()}
	if p.Credentials == container.CredentialsImage {
		for _, user := range p.Users {
			input.Passwords = append(input.Passwords, squid.Credential{User: user, Password: Password(user)})
		}
	}
	return app, p, input.Add(t.Context(), app)
}

// Build does what Add does. The test fails on an error.
func (c Case) Build(t testing.TB, dir string) (*stacks.App, *params.Params) {
	t.Helper()
	app, p, err := c.Add(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	return app, p
}

// Synth writes the fleet's assembly to dir.
func (c Case) Synth(t testing.TB, dir string) *params.Params {
	t.Helper()
	app, p := c.Build(t, dir)
	if err := app.Synth(); err != nil {
		t.Fatal(err)
	}
	return p
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
