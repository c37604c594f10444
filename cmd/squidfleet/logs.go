package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"squidfleet/internal/operator"
	"squidfleet/squid"
)

func newLogs(s *streams) *cobra.Command {
	var flags fleetFlags
	var query operator.LogQuery
	var since time.Duration
	var egress string
	var statuses []string
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Show what was requested",
		Long: `Show the log: one row a request, with

  time, egress address, client, user, method, status, duration, bytes to the client, URL,
  and why it was refused or failed, if it was

and without a filter also the messages of Squid and the entrypoint. All filters must hold.
URLs have no query strings: the log does not keep them.

With --follow it goes on until Ctrl-C, which is no failure. New lines come a few seconds late.
--json writes an object a line, with all fields of the log.`,
		Example: `  squidfleet logs --since 1h --status 4xx
  squidfleet logs --follow --egress 198.51.100.7
  squidfleet logs --user alice --status 407,5xx --json | jq -r .url`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since <= 0 {
				return usage("--since %v: must be more than nothing", since)
			}
			query.From = time.Now().Add(-since)
			var err error
			if cmd.Flags().Changed("egress") {
				if query.Egress, err = netip.ParseAddr(egress); err != nil {
					return usage("--egress: %q is not an IP address: see squidfleet ips", egress)
				}
				query.Egress = query.Egress.Unmap()
			}
			if cmd.Flags().Changed("user") {
				if err := squid.CheckUser(query.User); err != nil {
					return usage("--user: %v", err)
				}
			}
			for _, text := range statuses {
				status, err := operator.ParseStatus(text)
				if err != nil {
					return usage("--status: %v", err)
				}
				query.Statuses = append(query.Statuses, status)
			}
			if err := query.Check(); err != nil {
				return usage("%v", err)
			}
			if cmd.Flags().Changed("poll") && !query.Follow {
				return usage("--poll is for --follow: without it logs does not wait")
			}
			err = flags.with(cmd, func(f *operator.Connection) error {
				return f.Logs(cmd.Context(), query, s.report, func(e operator.Event) error {
					if s.asJSON {
						return s.json(e, "")
					}
					_, err := fmt.Fprintln(s.out, s.logRow(e))
					return err
				})
			})
			if query.Follow && cmd.Context().Err() != nil && !s.unread() {
				return nil // There is no other way to end it.
			}
			return err
		},
	}
	flags.add(s, cmd, "logs:FilterLogEvents")
	cmd.Flags().DurationVar(&since, "since", 10*time.Minute, "begin so long ago")
	cmd.Flags().BoolVarP(&query.Follow, "follow", "f", false, "go on with new lines")
	cmd.Flags().StringVar(&egress, "egress", "", "only requests that left from this address")
	cmd.Flags().StringVar(&query.User, "user", "", "only requests of this user")
	cmd.Flags().StringSliceVar(&statuses, "status", nil,
		"only requests with one of these status codes, such as 407, or classes, such as 4xx")
	flags.addPoll(cmd, 2*time.Second)
	return cmd
}

// logRow writes a line in columns that fit usual lines. A table cannot: the next line is not known
// yet.
func (s *streams) logRow(e operator.Event) string {
	if e.Line == nil {
		return fmt.Sprintf("%s  %s", e.Logged.Format("2006-01-02T15:04:05.000Z"),
			printable(strings.TrimRight(e.Message, "\n")))
	}
	l, tint := e.Line, noColour
	switch {
	case l.Status >= 500:
		tint = red
	case l.Status >= 400:
		tint = yellow
	}
	row := fmt.Sprintf("%s  %-15s  %-15s  %-8s  %-7s  %s  %6dms  %9d  %s", printable(l.Time), printable(l.Egress),
		printable(l.Client), printable(l.User), printable(l.Method), s.paint(fmt.Sprintf("%3d", l.Status), tint),
		l.DurationMs, l.BytesToClient, printable(l.URL))
	for _, why := range []string{l.Auth, l.Error} {
		if why != "-" && why != "" {
			row += "  " + printable(why)
		}
	}
	return row
}
