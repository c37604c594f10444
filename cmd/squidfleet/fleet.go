package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"squidfleet/internal/operator"
	"squidfleet/params"
)

// fleetFlags are those of every command that talks to AWS.
type fleetFlags struct{ operator.Options }

// Limits of --poll: AWS throttles what asks more often, and nobody wants to wait longer.
const (
	pollMin = 100 * time.Millisecond
	pollMax = 10 * time.Minute
)

// add adds the flags of a command that finds a fleet, and names the IAM actions that it calls
// besides.
func (f *fleetFlags) add(s *streams, cmd *cobra.Command, actions ...string) {
	cmd.Flags().StringVar(&f.StackName, "stack-name", "Squidfleet", "the fleet's parameter stackName")
	f.Poll = 5 * time.Second
	f.addAWS(s, cmd, append([]string{findFleet}, actions...)...)
}

// addAWS adds the flags of a command that finds none, and names all the IAM actions that it calls.
func (f *fleetFlags) addAWS(s *streams, cmd *cobra.Command, actions ...string) {
	cmd.Flags().StringVar(&f.Region, "region", "", "AWS region (default: as for the AWS CLI)")
	cmd.Flags().StringVar(&f.Profile, "profile", "", "AWS profile (default: as for the AWS CLI)")
	cmd.Flags().BoolVar(&s.asJSON, "json", false, "write JSON")
	needs(cmd, actions...)
}

// addPoll adds --poll to a command that waits.
func (f *fleetFlags) addPoll(cmd *cobra.Command, every time.Duration) {
	cmd.Flags().DurationVar(&f.Poll, "poll", every, "how often to ask AWS while waiting")
}

const (
	findFleet = "cloudformation:DescribeStacks"
	// permissions is their heading in a command's help.
	permissions = "\n\nPermissions it needs:\n  "
)

func needs(cmd *cobra.Command, actions ...string) {
	cmd.Long += permissions + strings.Join(actions, "\n  ")
}

// lookAtAddresses returns the actions behind a list of addresses, and further ones.
func lookAtAddresses(further ...string) []string {
	return append([]string{
		"ecs:ListServices", "ecs:DescribeServices", "ecs:ListTasks", "ecs:DescribeTasks",
		"elasticloadbalancing:DescribeTargetHealth", "ec2:DescribeNetworkInterfaces",
	}, further...)
}

// with finds the fleet and does something with it.
func (f *fleetFlags) with(cmd *cobra.Command, do func(*operator.Connection) error) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.explained(cmd, func() error {
		fleet, err := operator.Connect(cmd.Context(), f.Options)
		if err != nil {
			return err
		}
		return do(fleet)
	})
}

func (f *fleetFlags) check() error {
	if f.Poll < pollMin || f.Poll > pollMax {
		return usage("--poll %v: must be from %v to %v", f.Poll, pollMin, pollMax)
	}
	if err := params.CheckStackName(f.StackName); err != nil {
		return usage("--stack-name: %v", err)
	}
	return nil
}

// explained does something with AWS, whose errors it explains.
func (f *fleetFlags) explained(cmd *cobra.Command, do func() error) error {
	err := do()
	if err == nil {
		return nil
	}
	// Whatever became of a request when the context ended, it was interrupted.
	if interrupted := cmd.Context().Err(); interrupted != nil && !errors.Is(err, interrupted) {
		err = errors.Join(interrupted, err)
	}
	return &failure{err, f.Options}
}
