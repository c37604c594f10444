package main

import (
	"os"
	"strings"
	"testing"
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
	}
}
