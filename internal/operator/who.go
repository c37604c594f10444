package operator

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// WhoQuery asks who used an egress address, which the fleet need not have any more.
type WhoQuery struct {
	Address netip.Addr
	// From and To are when a request was under way.
	From, To time.Time
	// Longest is how long after To such a request may have ended, which is when it was logged.
	Longest time.Duration
	// Destination is the name or address that was asked, "" for any. A name stands for the names
	// below it as well.
	Destination string
}

// Use is what one user did from one client with one destination. The names of its JSON are stable.
type Use struct {
	User   string `json:"user"`
	Client string `json:"client"`
	// Host is the name and port that the client asked for, Destination the address behind it.
	Host            string    `json:"host"`
	Destination     string    `json:"destination"`
	Requests        int       `json:"requests"`
	BytesFromClient int64     `json:"bytesFromClient"`
	BytesToClient   int64     `json:"bytesToClient"`
	First           time.Time `json:"first"` // the earliest begin of a request
	Last            time.Time `json:"last"`  // the latest end
}

// mostUses bounds the memory that an answer takes.
const mostUses = 10_000

// logLate is how long after a request its line may be in the log.
const logLate = time.Minute

// Who returns the uses of an address, the busiest first. Requests that the proxy refused are left
// out: nothing left the address for them.
//
// It uses FilterLogEvents. CloudWatch Logs Insights is billed for what it scans, and cuts an answer
// that has too many rows.
func (f *Connection) Who(ctx context.Context, q WhoQuery) ([]Use, error) {
	type key struct{ user, client, host, destination string }
	uses := map[key]*Use{}
	query := LogQuery{From: q.From, To: q.To.Add(q.Longest + logLate), Egress: q.Address}
	err := f.Logs(ctx, query, nil, func(e Event) error {
		if e.Line == nil || e.Destination == "-" || e.Destination == "" {
			return nil
		}
		end := ended(e)
		begin, host := end.Add(-time.Duration(e.DurationMs)*time.Millisecond), asked(e.Line)
		if begin.After(q.To) || end.Before(q.From) || !q.concerns(host, e.Destination) {
			return nil
		}
		k := key{e.User, e.Client, host, e.Destination}
		use := uses[k]
		if use == nil {
			if len(uses) == mostUses {
				return fmt.Errorf("more than %d combinations of user, client and destination: ask for a shorter time, "+
					"or for one destination", mostUses)
			}
			k.host = strings.Clone(host) // the URL behind it may be long
			use = &Use{
				User: k.user, Client: k.client, Host: k.host, Destination: k.destination, First: begin, Last: end,
			}
			uses[k] = use
		}
		use.Requests++
		use.BytesFromClient += e.BytesFromClient
		use.BytesToClient += e.BytesToClient
		if begin.Before(use.First) {
			use.First = begin
		}
		use.Last = later(use.Last, end)
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := make([]Use, 0, len(uses))
	for _, use := range uses {
		list = append(list, *use)
	}
	slices.SortFunc(list, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.User, b.User), cmp.Compare(a.Client, b.Client),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Destination, b.Destination))
	})
	return list, nil
}

// ended is when a request ended, by Squid's clock.
func ended(e Event) time.Time {
	if at, err := time.Parse("2006-01-02T15:04:05.000-0700", e.Time); err == nil {
		return at.UTC()
	}
	return e.Logged
}

// concerns reports whether a request is about the destination that was asked for.
func (q WhoQuery) concerns(host, destination string) bool {
	if q.Destination == "" {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	if want, err := netip.ParseAddr(q.Destination); err == nil {
		got, _ := netip.ParseAddr(destination)
		named, _ := netip.ParseAddr(name)
		return want.Unmap() == got.Unmap() || want.Unmap() == named.Unmap()
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	want := strings.ToLower(strings.TrimSuffix(q.Destination, "."))
	return name == want || strings.HasSuffix(name, "."+want)
}

// asked returns the host and port that a request names. Squid checks the form of what it logs; of
// anything else the whole is returned.
func asked(l *Line) string {
	scheme, rest, plain := strings.Cut(l.URL, "://")
	if !plain {
		return l.URL // of CONNECT
	}
	rest, _, _ = strings.Cut(rest, "/")
	rest, _, _ = strings.Cut(rest, "?")
	host := rest[strings.LastIndexByte(rest, '@')+1:]
	if _, _, err := net.SplitHostPort(host); err == nil || scheme != "http" {
		return host
	}
	return host + ":80"
}
