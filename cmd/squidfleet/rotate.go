package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"squidfleet/internal/operator"
)

func newRotate(s *streams) *cobra.Command {
	var flags fleetFlags
	var options operator.RotateOptions
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Give every task a new address",
		Long: `Give every task a new address, as the fleet's schedule (rotateEvery) does by itself.

ECS starts as many new tasks as the fleet has. When they are healthy, the old ones
get no new connections, and their open ones may go on for drainTimeout.
It is refused (exit code 3) while another rotation or deployment is under way.

With --wait it returns when the last old task has ended. An interrupt does not stop
the rotation. If the wait fails, --json still says what was started.`,
		Example: `  squidfleet rotate
  squidfleet rotate --wait
  squidfleet rotate --wait --json | jq -r '.after[]'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if options.Timeout <= 0 {
				return usage("--timeout %v: must be more than nothing", options.Timeout)
			}
			for _, name := range []string{"timeout", "poll"} {
				if cmd.Flags().Changed(name) && !options.Wait {
					return usage("--%s is for --wait: without it rotate does not wait", name)
				}
			}
			return flags.with(cmd, func(f *operator.Connection) error {
				r, err := f.Rotate(cmd.Context(), options, s.report)
				if err != nil && r != nil {
					return &unfinished{err, func(why string) any { r.Error = why; return r }}
				}
				if err != nil {
					return err
				}
				s.endProgress()
				if flags.json {
					return s.json(r)
				}
				fmt.Fprintf(s.out, "before  %s\n", list(r.Before))
				if options.Wait {
					fmt.Fprintf(s.out, "after   %s\n", list(r.After))
				}
				return nil
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&options.Wait, "wait", false, "wait until the last old task has ended")
	cmd.Flags().DurationVar(&options.Timeout, "timeout", 2*time.Hour,
		"with --wait, fail after so long; the rotation goes on")
	flags.addPoll(cmd, 5*time.Second)
	needs(cmd, append(lookAtTasks[:len(lookAtTasks):len(lookAtTasks)], "ecs:UpdateService")...)
	return cmd
}
