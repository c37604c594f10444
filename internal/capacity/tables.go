package capacity

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"squidfleet/squid"
)

// Table is what a user needs of the figures, in Markdown.
func (f Figures) Table() string {
	var b strings.Builder
	fmt.Fprint(&b, "| `cpu`, `memory` | `auth` | HTTPS requests a second, a new tunnel each "+
		"| plain requests a second, on open connections | MB a second in tunnels "+
		"| added time of a plain request at half that rate: median, 99 % | tunnels at a time |\n"+
		"|---|---|---|---|---|---|---|\n")
	for _, size := range f.Sizes {
		for _, auth := range []squid.Auth{squid.AuthDigest, squid.AuthBasic, squid.AuthNone} {
			t := f.Task(size.CPU, auth)
			fmt.Fprintf(&b, "| %d, %d | %s | %s | %s | %s | %s ms, %s ms | %s |\n", t.CPU, t.Memory, auth,
				t.HTTPS.short(), t.Requests.short(), t.MB.short(), rounded(t.Added.P50), rounded(t.Added.P99),
				atLeast(t.AtLeast)+rounded(float64(t.Tunnels)))
		}
	}
	fmt.Fprintf(&b, "\n%s, %d cores, Squid %s, %s. Of the figures for 16, 256 and 1,000 connections, the\n"+
		"least for which the task was the limit. Neither bytes nor tunnels depend on `auth`.\n",
		f.Machine, f.Cores, f.Squid, f.Date)
	return b.String()
}

// Measured is all of the figures, in Markdown.
func (f Figures) Measured() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## What one task carries\n\n"+
		"`make bench` (BenchmarkCapacity), %s: %s, %d cores, Squid %s.\n"+
		"By control group, the image has a Fargate task's share of a core (cpu 256 is a quarter) and its memory.\n"+
		"Medians of %d interleaved rounds of %v s or more. Clients and origins are on the same machine, and have no\n"+
		"limit. A request is a GET of 1 KiB. HTTPS: a connection, a tunnel and a TLS handshake for each.\n\n"+
		"Where the task used less than %.0f %% of its share, something else was the limit: the exchange's own time\n"+
		"with one connection, otherwise clients and origins. ≥ marks such a figure, with what the task used of its\n"+
		"share, and how many cores clients and origins used.\n\n"+
		"Times are median and 99 %% of a plain request, in ms: at the rate of the third column; at half of it, at\n"+
		"random moments; and without a proxy, at half the rate of the smallest task. What a tunnel carries does not\n"+
		"depend on auth.\n\n",
		f.Date, f.Machine, f.Cores, f.Squid, f.Rounds, f.Seconds, 100*used)
	fmt.Fprint(&b, "| cpu, auth | connections | plain requests a second | ms | ms at half | ms direct "+
		"| HTTPS requests a second | MB a second |\n|---|---|---|---|---|---|---|---|\n")
	for _, load := range f.Loads {
		mb := ""
		if load.MB != nil {
			mb = load.MB.long()
		}
		fmt.Fprintf(&b, "| %d, %s | %s | %s | %s | %s | %s | %s | %s |\n", load.CPU, load.Auth,
			thousands(float64(load.Connections)), load.Requests.long(), load.Took, load.Half, load.Direct,
			load.HTTPS.long(), mb)
	}
	fmt.Fprint(&b, "\nTunnels held at a time, each of which then passed a byte:\n")
	for i, size := range f.Sizes {
		fmt.Fprintf(&b, "%s%s%s with %d MiB", []string{"", ", "}[min(i, 1)], atLeast(size.AtLeast),
			thousands(float64(size.Tunnels)), size.Memory)
	}
	fmt.Fprintln(&b, ".")
	return b.String()
}

func atLeast(is bool) string {
	if is {
		return "≥ "
	}
	return ""
}

func (r Rate) short() string { return atLeast(r.AtLeast()) + rounded(r.PerSecond) }

func (r Rate) long() string {
	text := atLeast(r.AtLeast()) + thousands(r.PerSecond)
	if r.AtLeast() {
		text += fmt.Sprintf(" (%.0f %%, %.1f)", 100*r.Task, r.Clients)
	}
	return text
}

func (l Latency) String() string {
	return fmt.Sprintf("%.2f, %.1f", l.P50, l.P99)
}

// rounded writes two digits of a number: more would say that another machine has them too.
func rounded(n float64) string {
	if n <= 0 {
		return "0"
	}
	digit := math.Pow10(int(math.Floor(math.Log10(n))) - 1)
	if n = math.Round(n/digit) * digit; n < 10 {
		return strconv.FormatFloat(n, 'g', 2, 64)
	}
	return thousands(n)
}

// thousands writes a whole number with commas.
func thousands(n float64) string {
	text := fmt.Sprintf("%.0f", n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
