// Package scripts holds the tests of the Makefile and of the shell scripts that it runs.
package scripts

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"squidfleet/internal/must"
)

// The scripts in testdata have the project's directory in ROOT.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("..")
	must.OK(t, err)
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(env *testscript.Env) error {
		env.Setenv("ROOT", root)
		return nil
	}})
}
