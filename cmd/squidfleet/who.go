package main

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"squidfleet/internal/operator"
)

// who is what squidfleet who writes as JSON. Its names are stable.
type who struct {
	Address netip.Addr     `json:"address"`
	From    time.Time      `json:"from"`
	To      time.Time      `json:"to"`
	Uses    []operator.Use `json:"uses"`
}

func newWho(s *streams) *cobra.Command {
	var flags fleetFlags
	var query operator.WhoQuery
	var at string
	var around time.Duration
	cmd := &cobra.Command{
		Use:   "who ADDRESS --at TIME",
		Short: "Find who used an egress address at a time",
		Long: `Find who used an egress address at a time, for the answer to an abuse notice: users,
clients and destinations, with the number of their requests. The log says it, so the
fleet need not have the address any more. Requests that the proxy refused are left out:
nothing left the address for them.

TIME has a zone: 2026-03-04T05:06:07Z, "2026-03-04 05:06:07 +0100", "2026-03-04 05:06
Europe/Berlin", "04/Mar/2026:05:06:07 +0000", or seconds since 1970. A request counts if
it was under way in the --for around TIME, half of it before and half after.

A request is in the log when it has ended. --longest is how much later than that time to
look for tunnels that were open then. Times in the answer are UTC.`,
		Example: `  squidfleet who 198.51.100.7 --at 2026-03-04T05:06:07Z
  squidfleet who 198.51.100.7 --at '2026-03-04 06:06 Europe/Berlin' --for 1h --destination example.com
  squidfleet who 198.51.100.7 --at 2026-03-04T05:06:07Z --json | jq -r '.uses[].user' | sort -u`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("%s takes one address, and got %d: give the one that the notice names", cmd.CommandPath(),
					len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := netip.ParseAddr(args[0])
			if err != nil {
				return usage("ADDRESS: %q is not an IP address: give the one that the notice names", args[0])
			}
			if at == "" {
				return usage("--at is missing: give the time that the notice names, such as --at 2026-03-04T05:06:07Z")
			}
			middle, err := parseTime(at)
			switch {
			case err != nil:
				return usage("--at: %v", err)
			case around <= 0:
				return usage("--for %v: must be more than nothing", around)
			case query.Longest < 0:
				return usage("--longest %v: must not be negative", query.Longest)
			case strings.ContainsFunc(query.Destination, func(r rune) bool {
				return r == '/' || r == ':' && strings.Count(query.Destination, ":") == 1 || unicode.IsSpace(r)
			}):
				return usage("--destination %q: give a name or an address alone, without scheme, port and path",
					query.Destination)
			}
			query.Address = address.Unmap()
			query.From, query.To = middle.Add(-around/2).UTC(), middle.Add(around/2).UTC()
			if query.From.After(time.Now()) {
				return usage("--at %s: is %s, which is yet to come: is the zone right?", at, stamp(middle))
			}
			return flags.with(cmd, func(f *operator.Connection) error {
				uses, err := f.Who(cmd.Context(), query)
				if err != nil {
					return err
				}
				answer := who{query.Address, query.From, query.To, uses}
				return s.result(answer, func() { s.who(answer) })
			})
		},
	}
	flags.add(s, cmd, "logs:FilterLogEvents")
	cmd.Flags().StringVar(&at, "at", "", "the time, with its zone")
	cmd.Flags().DurationVar(&around, "for", 10*time.Minute, "how long a time around it")
	cmd.Flags().StringVar(&query.Destination, "destination", "",
		"only requests to this name, the names below it, or this address")
	cmd.Flags().DurationVar(&query.Longest, "longest", time.Hour, "how much later a request may have ended")
	return cmd
}

func (s *streams) who(w who) {
	between := fmt.Sprintf("left %s between %s and %s", w.Address, stamp(w.From), stamp(w.To))
	if len(w.Uses) == 0 {
		s.report("nothing " + between + ": are address and zone right, and is the log kept for so long " +
			"(logRetentionDays)?")
		return
	}
	s.report("what " + between + ":")
	rows := [][]cell{
		row("USER", "CLIENT", "HOST", "DESTINATION", "REQUESTS", "SENT", "RECEIVED", "FIRST", "LAST"),
	}
	for _, use := range w.Uses {
		rows = append(rows, row(use.User, use.Client, use.Host, use.Destination, use.Requests, use.BytesFromClient,
			use.BytesToClient, stamp(use.First), stamp(use.Last)))
	}
	s.table(rows)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

var (
	epochForm = regexp.MustCompile(`^\d{9,10}$`)
	zoneForm  = regexp.MustCompile(`^(.*?) ?(Z|UTC|GMT|[+-]\d\d:?\d\d|[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+)$`)
	clocks    = []string{
		"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "02/Jan/2006:15:04:05",
		"Mon, 2 Jan 2006 15:04:05", "2 Jan 2006 15:04:05",
	}
)

// parseTime reads a time as notices write it. Zones are offsets and the names of the IANA
// database: others, such as CST, have several meanings.
func parseTime(text string) (at time.Time, err error) {
	text = strings.Join(strings.Fields(text), " ")
	if epochForm.MatchString(text) {
		seconds, err := strconv.ParseInt(text, 10, 64)
		return time.Unix(seconds, 0), err
	}
	parts := zoneForm.FindStringSubmatch(text)
	if parts == nil {
		return at, fmt.Errorf("%q has no zone, or one with several meanings: add Z, an offset such as "+
			"+0100, or a name such as Europe/Berlin", text)
	}
	zone := time.UTC
	switch name := parts[2]; {
	case strings.Contains(name, "/"):
		if zone, err = time.LoadLocation(name); err != nil {
			return at, fmt.Errorf("this machine knows no zone %q: give an offset such as +0100", name)
		}
	case strings.ContainsAny(name, "+-"):
		if at, err = time.Parse("-0700", strings.ReplaceAll(name, ":", "")); err != nil {
			return at, err
		}
		zone = at.Location()
	}
	for _, clock := range clocks {
		if at, err = time.ParseInLocation(clock, parts[1], zone); err == nil {
			return at, nil
		}
	}
	return at, fmt.Errorf("%q is no time: write it as 2026-03-04T05:06:07Z", text)
}
