package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"squidfleet/internal/operator"
)

func newIPs(s *streams) *cobra.Command {
	var flags fleetFlags
	cmd := &cobra.Command{
		Use:   "ips",
		Short: "List the egress addresses",
		Long: `List the egress addresses by their numbers: one row each, and two while one is rotated.

PORT always leads to that address, and ROTATES is when the schedule changes it, in UTC.

HEALTH is
  healthy    the load balancer sends connections to it
  starting   it has not passed the first checks yet
  unhealthy  one of the checks fails
  draining   it ends, and still serves its open connections
  stopped    it has no task, because of activeHours or squidfleet stop

It warns, on stderr or as "warnings" in the JSON, of rotations that could not be started,
and of up to ten addresses that ECS did not rotate.`,
		Example: `  squidfleet ips
  squidfleet ips --stack-name Crawlers --region eu-west-1
  squidfleet ips --json | jq -r '.addresses[].tasks[] | select(.health == "healthy").address'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.with(cmd, func(f *operator.Connection) error {
				all, err := f.Addresses(cmd.Context())
				if err != nil {
					return err
				}
				warnings, err := f.Trouble(cmd.Context(), all)
				if err != nil {
					return err
				}
				answer := struct {
					Addresses []operator.Address `json:"addresses"`
					Warnings  []string           `json:"warnings"`
				}{all, warnings}
				return s.result(answer, func() {
					s.table(addressRows(all))
					for _, w := range warnings {
						fmt.Fprintf(s.err, "warning: %s\n", printable(w))
					}
				})
			})
		},
	}
	flags.add(s, cmd, lookAtAddresses("sqs:GetQueueAttributes", "ecs:ListServiceDeployments")...)
	return cmd
}

func addressRows(all []operator.Address) [][]cell {
	rows := [][]cell{row("NUMBER", "PORT", "ADDRESS", "ZONE", "AGE", "HEALTH", "CAPACITY", "ROTATES")}
	for _, a := range all {
		port, rotates := "", ""
		if a.Port > 0 {
			port = strconv.Itoa(a.Port)
		}
		if !a.NextRotation.IsZero() {
			rotates = a.NextRotation.Format("2006-01-02T15:04Z")
		}
		for _, t := range a.Tasks {
			since, capacity := "", "on-demand"
			if !t.StartedAt.IsZero() {
				since = age(time.Duration(t.AgeSeconds) * time.Second)
			}
			if t.Spot {
				capacity = "spot"
			}
			rows = append(rows, row(a.Number, port, t.Address, t.Zone, since, state(t.Health), capacity, rotates))
		}
		if len(a.Tasks) == 0 {
			health := state(operator.Starting)
			if a.Stopped {
				health = state("stopped")
			}
			rows = append(rows, row(a.Number, port, "", "", "", health, "", rotates))
		}
	}
	return rows
}
