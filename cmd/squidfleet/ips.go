package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"squidfleet/internal/operator"
)

func newIPs(s *streams) *cobra.Command {
	var flags fleetFlags
	cmd := &cobra.Command{
		Use:   "ips",
		Short: "List the egress addresses",
		Long: `List the egress addresses: one row a task, the oldest first.

HEALTH is
  healthy    the load balancer sends connections to it
  starting   it has not passed the first checks yet
  unhealthy  one of the checks fails
  draining   it ends, and still serves its open connections

It warns, on stderr or as "warnings" in the JSON, if rotations could not be started, or
if ECS gave up the newest deployment: then the addresses do not change as they should.`,
		Example: `  squidfleet ips
  squidfleet ips --stack-name Crawlers --region eu-west-1
  squidfleet ips --json | jq -r '.tasks[] | select(.health == "healthy").address'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.with(cmd, func(f *operator.Connection) error {
				tasks, err := f.Tasks(cmd.Context())
				if err != nil {
					return err
				}
				warnings, err := f.Trouble(cmd.Context())
				if err != nil {
					return err
				}
				if flags.json {
					return s.json(struct {
						Tasks    []operator.Task `json:"tasks"`
						Warnings []string        `json:"warnings"`
					}{tasks, warnings})
				}
				s.table(taskRows(tasks))
				for _, w := range warnings {
					fmt.Fprintf(s.err, "warning: %s\n", printable(w))
				}
				return nil
			})
		},
	}
	flags.add(cmd)
	needs(
		cmd,
		append(lookAtTasks[:len(lookAtTasks):len(lookAtTasks)], "sqs:GetQueueAttributes",
			"ecs:ListServiceDeployments")...)
	return cmd
}

func taskRows(tasks []operator.Task) [][]cell {
	rows := [][]cell{
		{plain("ADDRESS"), plain("ZONE"), plain("AGE"), plain("HEALTH"), plain("CAPACITY"), plain("TASK")},
	}
	colours := map[operator.Health]colour{
		operator.Healthy: green, operator.Unhealthy: red, operator.Starting: yellow, operator.Draining: yellow,
	}
	for _, t := range tasks {
		address, since, capacity := "", "", "on-demand"
		if t.Address.IsValid() {
			address = t.Address.String()
		}
		if !t.StartedAt.IsZero() {
			since = age(time.Duration(t.AgeSeconds) * time.Second)
		}
		if t.Spot {
			capacity = "spot"
		}
		rows = append(
			rows,
			[]cell{
				plain(address), plain(t.Zone), plain(since), {string(t.Health), colours[t.Health]}, plain(capacity),
				plain(t.ID),
			},
		)
	}
	return rows
}

// list writes addresses in a row.
func list[T interface{ String() string }](addresses []T) string {
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return strings.Join(texts, " ")
}
