package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the help texts into the manual")

// The manual holds the help of each command, between a comment that names it and the end of the
// code block.
func TestManualHasTheHelpOfEachCommand(t *testing.T) {
	const path = "../../docs/squidfleet.md"
	manual, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(manual)
	checked := 0
	for _, command := range newRoot(newStreams(os.Stdout, os.Stderr)).Commands() {
		if !command.IsAvailableCommand() || command.Name() == "help" {
			continue
		}
		checked++
		start := "<!-- squidfleet " + command.Name() + " --help -->\n```text"
		before, rest, found := strings.Cut(text, start)
		_, after, closed := strings.Cut(rest, "\n```\n")
		if !found || !closed {
			t.Errorf("%s has no block that begins with %q", path, start)
			continue
		}
		text = before + start + "\n" + help(t, command.Name()) + "```\n" + after
	}
	if checked < 5 {
		t.Errorf("checked %d commands", checked)
	}
	if t.Failed() || text == string(manual) {
		return
	}
	if !*update {
		t.Fatalf("%s does not have the commands' help as it is: go test ./cmd/squidfleet -run Manual -update", path)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func help(t *testing.T, command string) string {
	t.Helper()
	root := newRoot(newStreams(os.Stdout, os.Stderr))
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{command, "--help"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

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

// checkFlags has each flag of a command that talks to AWS explained.
func checkFlags(t *testing.T, command *cobra.Command) {
	t.Helper()
	if command.Annotations[permissionsKey] == "" {
		return
	}
	for _, name := range []string{"stack-name", "region", "profile", "json"} {
		if f := command.Flags().Lookup(name); f == nil || f.Usage == "" {
			t.Errorf("%s has no --%s", command.Name(), name)
		}
	}
}
