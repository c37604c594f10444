package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"squidfleet/internal/operator"
)

func newRetire(s *streams) *cobra.Command {
	var flags fleetFlags
	var options operator.RetireOptions
	cmd := &cobra.Command{
		Use:   "retire ADDRESS",
		Short: "Replace the one task that has an address",
		Long: `Replace the one task that has an egress address, for example because a site banned it.

A further task starts first. When it is healthy, the old one gets no new connections,
and its open ones may go on for drainTimeout: no client notices, and the fleet is never
smaller than it should be. If that cannot be finished, or is interrupted, the fleet is
put back as it was.

With --now the task stops at once, and its successor starts afterwards. Its
connections still have almost two minutes, but meanwhile the fleet is one task
smaller. It is refused (exit code 3) if fewer than --floor healthy tasks would be left;
--floor 0 takes the last one, too.

Without --now it is refused during a rotation, which replaces that task anyway.`,
		Example: `  squidfleet retire 198.51.100.7
  squidfleet retire 198.51.100.7 --wait
  squidfleet retire 198.51.100.7 --now --floor 3`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("%s takes one address, and got %d: see squidfleet ips", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := netip.ParseAddr(args[0])
			switch {
			case err != nil:
				return usage("ADDRESS: %q is not an IP address: see squidfleet ips", args[0])
			case options.Timeout <= 0:
				return usage("--timeout %v: must be more than nothing", options.Timeout)
			case options.Floor < 0:
				return usage("--floor %d: must not be negative", options.Floor)
			case cmd.Flags().Changed("floor") && !options.Now:
				return usage("--floor is for --now: without it the fleet never gets smaller")
			}
			return flags.with(cmd, func(f *operator.Connection) error {
				r, err := f.Retire(cmd.Context(), address.Unmap(), options, s.report)
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
				fmt.Fprintf(s.out, "%s  %s\n", r.Address, r.State)
				if r.Replacement.IsValid() {
					fmt.Fprintf(s.out, "%s  new\n", r.Replacement)
				}
				return nil
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&options.Now, "now", false, "stop the task first, start its successor afterwards")
	cmd.Flags().IntVar(&options.Floor, "floor", 1, "with --now, how many other tasks must be healthy")
	cmd.Flags().BoolVar(&options.Wait, "wait", false, "wait until the task has ended")
	cmd.Flags().DurationVar(&options.Timeout, "timeout", 15*time.Minute,
		"give up waiting for the successor, or for the end, after so long")
	flags.addPoll(cmd, 5*time.Second)
	needs(
		cmd,
		append(lookAtTasks[:len(lookAtTasks):len(lookAtTasks)], "ecs:UpdateService", "ecs:GetTaskProtection",
			"ecs:UpdateTaskProtection", "ecs:StopTask")...)
	return cmd
}
