package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// newRoot puts the commands together. Each has a constructor in a file of its name.
func newRoot(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "squidfleet",
		Short: "Look at a fleet of proxies, change its addresses, use it",
		Long: `Look at a fleet of proxies, change its addresses, use it.

The fleet is found by the name of its stack, with the AWS credentials and region
that the AWS CLI would use.

Exit codes:
  0    done
  1    failed; the reason is on stderr
  2    wrong usage
  3    refused: the fleet is in no state for it, and nothing was changed;
       of doctor and status: there is something to do
  130  interrupted
  141  nobody reads the output any more

With --json, a failure is also an object with the member "error" on stdout.`,
		Version: version(),
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("no command: see squidfleet --help")
			}
			return unknownCommand(cmd, args[0])
		},
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%v: see %s --help", err, cmd.CommandPath())
	})
	for _, construct := range []func(*streams) *cobra.Command{
		newCost, newCredentials, newDoctor, newIPs, newLocal, newLogs, newRelay, newRetire, newRotate, newStart,
		newStatus, newStop, newWho,
	} {
		cmd := construct(s)
		if cmd.Args == nil {
			cmd.Args = noArguments
		}
		root.AddCommand(cmd)
	}
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Run, help.RunE = nil, func(_ *cobra.Command, args []string) error {
			topic, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(root, strings.Join(args, " "))
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		}
	}
	return root
}

// unknownCommand is the mistake in a command's name.
func unknownCommand(root *cobra.Command, name string) error {
	hint := "see squidfleet --help"
	if near := root.SuggestionsFor(name); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage("no command %q: %s", name, hint)
}

// version is what the Go toolchain noted when it built the program.
func version() string {
	text := "(devel)"
	if build, ok := debug.ReadBuildInfo(); ok {
		text = build.Main.Version
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				text += " " + setting.Value
			}
		}
	}
	return fmt.Sprintf("%s, %s %s/%s", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// usageError is a mistake in the arguments.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, arguments ...any) error {
	return &usageError{fmt.Sprintf(format, arguments...)}
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument, and got %q: see %[1]s --help", cmd.CommandPath(), args[0])
	}
	return nil
}
