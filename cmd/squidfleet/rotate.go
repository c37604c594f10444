package main

import (
	"time"

	"github.com/spf13/cobra"

	"squidfleet/internal/operator"
)

func newRotate(s *streams) *cobra.Command {
	c := changing{
		Command: cobra.Command{
			Use:   "rotate [ADDRESS|NUMBER]...",
			Short: "Give all addresses, or some, a new value",
			Long: `Give all addresses, or those that are named, a new value, as the fleet's schedule
(rotateEvery) does by itself.

ECS starts a new task. When it is healthy, the old one gets no new connections, and its
open ones may go on for drainTimeout. Several addresses are rotated one after the other:
each when the one before serves from its new address, so that never more than one task
is starting. That takes one to three minutes each. With --now all begin at once: until
the old ones have ended, the fleet has twice its tasks, also for quotas and costs.

Without names it leaves out what is stopped, and waits for what is being rotated.
A named address that is stopped or being rotated is refused (exit code 3).

With --wait it returns when the last old task has ended, otherwise when the last
rotation has begun. An interrupt, or an address that fails, stops no rotation that has
begun. --json tells of each address what became of it, also after a failure.`,
			Example: `  squidfleet rotate
  squidfleet rotate 3 198.51.100.7 --wait
  squidfleet rotate --now --wait --json | jq -r '.changes[].after'`,
		},
		action: operator.Rotate,
	}
	cmd := c.command(s, "ecs:UpdateService")
	cmd.Flags().BoolVar(&c.options.AtOnce, "now", false, "begin with all of them at once")
	return cmd
}

func newRetire(s *streams) *cobra.Command {
	c := changing{
		Command: cobra.Command{
			Use:   "retire ADDRESS|NUMBER",
			Short: "Replace one address, because a site banned it",
			Long: `Replace one address, for example because a site banned it, and no other one.

It is a rotation of this address: the new task serves first. When that is healthy, the
old one gets no new connections, and its open ones may go on for drainTimeout.
It is refused (exit code 3) while the address is stopped or being rotated anyway.

With --now the task stops at once, and its successor starts afterwards. Its connections
still have almost two minutes. Until the successor is healthy, in a minute or two, the
address's own port refuses connections.`,
			Example: `  squidfleet retire 198.51.100.7
  squidfleet retire 3 --wait
  squidfleet retire 198.51.100.7 --now`,
		},
		action: operator.Rotate, one: true,
	}
	cmd := c.command(s, "ecs:UpdateService", "ecs:StopTask (with --now)")
	cmd.Flags().BoolVar(&c.stopFirst, "now", false, "stop the task first, start its successor afterwards")
	return cmd
}

func newStop(s *streams) *cobra.Command {
	c := changing{
		Command: cobra.Command{
			Use:   "stop [NUMBER]...",
			Short: "Stop all addresses, or some, and what they cost",
			Long: `Stop all addresses, or those with these numbers, until squidfleet start.

Their tasks get no new connections, and open ones may go on for drainTimeout. The port
of a stopped address refuses connections. Rotations and deployments leave it stopped;
activeHours starts it again at its next beginning.

With --wait it returns when the last task has ended.`,
			Example: `  squidfleet stop
  squidfleet stop 4 5 --wait`,
		},
		action: operator.Stop,
	}
	return c.command(s, "ecs:UpdateService")
}

func newStart(s *streams) *cobra.Command {
	c := changing{
		Command: cobra.Command{
			Use:   "start [NUMBER]...",
			Short: "Start what is stopped",
			Long: `Start all addresses, or those with these numbers, that are stopped. Each gets a new value.

With --wait it returns when they are healthy.`,
			Example: `  squidfleet start
  squidfleet start 4 5 --wait`,
		},
		action: operator.Start,
	}
	return c.command(s, "ecs:UpdateService")
}

type changing struct {
	cobra.Command
	action    operator.Action
	one       bool // it takes one address, not any number
	stopFirst bool // retire instead of rotate
	options   operator.ChangeOptions
	flags     fleetFlags
}

func (c *changing) command(s *streams, actions ...string) *cobra.Command {
	cmd := &c.Command
	var selected []operator.Selector
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if c.one && len(args) != 1 {
			return usage("%s takes one address or number, and got %d: see squidfleet ips", cmd.CommandPath(), len(args))
		}
		for _, text := range args {
			one, err := operator.ParseSelector(text)
			if err != nil {
				return usage("%v", err)
			}
			if one.Number == 0 && (c.action == operator.Stop || c.action == operator.Start) {
				return usage("%q is not the number of an address: see squidfleet ips", text)
			}
			selected = append(selected, one)
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if c.options.Timeout <= 0 {
			return usage("--timeout %v: must be more than nothing", c.options.Timeout)
		}
		if c.stopFirst {
			c.action = operator.Retire
		}
		return c.flags.with(cmd, func(f *operator.Connection) error {
			changes, err := f.Change(cmd.Context(), c.action, selected, c.options, s.report)
			if err != nil && changes != nil {
				return &unfinished{err, changes}
			}
			if err != nil {
				return err
			}
			s.endProgress()
			return s.result(changed{Changes: changes}, func() { s.table(changeRows(changes)) })
		})
	}
	c.flags.add(s, cmd, lookAtAddresses(actions...)...)
	cmd.Flags().BoolVar(&c.options.Wait, "wait", false, "wait until it is done")
	cmd.Flags().DurationVar(&c.options.Timeout, "timeout", time.Hour,
		"give up waiting when nothing has changed for so long; what has begun goes on")
	c.flags.addPoll(cmd, 5*time.Second)
	return cmd
}

// changed is what --json writes. Its names are stable.
type changed struct {
	Changes []*operator.Change `json:"changes"`
	Error   string             `json:"error,omitempty"`
}

func changeRows(changes []*operator.Change) [][]cell {
	rows := [][]cell{row("NUMBER", "BEFORE", "AFTER", "STATE")}
	for _, c := range changes {
		rows = append(rows, row(c.Number, c.Before, c.After, c.State))
	}
	return rows
}
