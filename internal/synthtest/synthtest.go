// Package synthtest synthesises fleets for tests. They need Node.js and the npm packages.
package synthtest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"squidfleet/internal/cdkcontext"
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
	path, err := cdkcontext.NodePath()
	if err == nil && os.Getenv(inside) != "" {
		if scratch, err = os.MkdirTemp("", "squidfleet-synth-"); err == nil {
			defer os.RemoveAll(scratch)
			return m.Run()
		}
	}
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

var scratch string

// Scratch returns a directory for what several tests share. Main removes it.
func Scratch() string { return scratch }

// Password returns the password of a user with credentials=image.
func Password(user string) string { return "a password of " + user }

// Add adds the fleet to a new app that writes to dir. The error is that of [stacks.Input.Add].
func Add(t testing.TB, dir string, c cdkcontext.Case) (*stacks.App, *params.Params, error) {
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
	input := stacks.Input{Params: p, Account: cdkcontext.Account, Region: c.Place(), Staged: c.Staged}
	if p.Credentials == container.CredentialsImage {
		for _, user := range p.Users {
			input.Passwords = append(input.Passwords, squid.Credential{User: user, Password: Password(user)})
		}
	}
	return app, p, input.Add(t.Context(), app)
}

// Synth writes the fleet's assembly to dir.
func Synth(t testing.TB, dir string, c cdkcontext.Case) *params.Params {
	t.Helper()
	app, p, err := Add(t, dir, c)
	if err == nil {
		err = app.Synth()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}
