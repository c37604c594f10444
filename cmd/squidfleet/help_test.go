package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestEachCommandHasExamplesAndRefusesStrayArguments(t *testing.T) {
	for _, command := range newRoot(newStreams(os.Stdout, os.Stderr)).Commands() {
		if !command.IsAvailableCommand() || command.Name() == "help" {
			continue
		}
		if !strings.Contains(command.Example, "  squidfleet "+command.Name()) {
			t.Errorf("%s has no example", command.Name())
		}
		if err := command.ValidateArgs([]string{"one", "two"}); err == nil {
			t.Errorf("%s takes any arguments", command.Name())
		}
		checkFlags(t, command)
	}
}

// checkFlags checks that a command that talks to AWS explains its flags.
func checkFlags(t *testing.T, command *cobra.Command) {
	t.Helper()
	names := []string{"region", "profile", "json"}
	switch permissions := command.Annotations[permissionsKey]; {
	case permissions == "":
		return
	case strings.Contains(permissions, "cloudformation:DescribeStacks"):
		names = append(names, "stack-name")
	}
	for _, name := range names {
		if f := command.Flags().Lookup(name); f == nil || f.Usage == "" {
			t.Errorf("%s has no --%s", command.Name(), name)
		}
	}
}
