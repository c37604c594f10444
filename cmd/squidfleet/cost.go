package main

import (
	"context"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"squidfleet/internal/cost"
	"squidfleet/internal/operator"
	"squidfleet/params"
)

type costFlags struct {
	fleetFlags
	context  []string
	traffic  cost.Traffic
	recorded bool
}

func newCost(s *streams) *cobra.Command {
	var flags costFlags
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "Compute what a fleet costs a month",
		Long: `Compute what a fleet with the parameters in cdk.json costs a month of 730 hours, item by
item, and what other ways to as many egress addresses cost.

Prices are AWS's list prices, without free tiers, discounts and taxes. They come from
AWS's price list if the credentials allow that, otherwise from a table in this program,
which has few regions. Fargate Spot is taken as 70 percent off, the most that AWS
promises.

Traffic is an assumption: name your own. Each request is taken for a connection of its
own, and for a line of 500 bytes in the log. With endpoint=internal, clients in the same
region are no part of --internet. PrivateLink endpoints are paid by those who make them.

The last line says whether the fleet is large enough for the traffic at its peak. If it is
not, a table shows which sizes are. The figures behind this are of one machine and not
Fargate's, so a fleet is taken to carry half of them.`,
		Example: `  squidfleet cost --region us-east-1
  squidfleet cost -c fleetSize=20 -c spotShare=100 -c architecture=arm64 --traffic 2000
  squidfleet cost --requests 50000000 --traffic 5000 --peak 10 --tunnels 3000
  squidfleet cost -c 'activeHours=mon-fri 07:00-19:00' --json | jq .total`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("internet") {
				flags.traffic.InternetGB = flags.traffic.GB
			}
			for _, name := range []string{"traffic", "internet", "requests", "peak", "tunnels"} {
				if n, _ := cmd.Flags().GetFloat64(name); !(n >= 0) || math.IsInf(n, 0) {
					return usage("--%s %v: must be a number from 0 on", name, n)
				}
			}
			if t := flags.traffic; t.InternetGB > t.GB {
				return usage("--internet %v: is more than --traffic %v, of which it is a part", t.InternetGB, t.GB)
			}
			p, err := parameters(flags.context)
			if err != nil {
				return err
			}
			return flags.explained(cmd, func() error {
				prices, err := flags.prices(cmd.Context(), s)
				if err != nil {
					return err
				}
				estimate := prices.OfFleet(p, flags.traffic)
				return s.result(estimate, func() { s.cost(p, estimate) })
			})
		},
	}
	f := cmd.Flags()
	flags.addAWS(s, cmd, "pricing:GetProducts (if it is allowed)")
	f.BoolVar(&flags.recorded, "recorded", false, "take the prices in this program, and do not ask AWS")
	f.Float64Var(&flags.traffic.GB, "traffic", cost.ExampleTraffic.GB,
		"GB a month through the load balancer, both directions together")
	f.Float64Var(&flags.traffic.InternetGB, "internet", 0,
		"GB of it that AWS sends to the internet: answers to clients outside AWS, and uploads (default: all)")
	f.Float64Var(&flags.traffic.Requests, "requests", cost.ExampleTraffic.Requests, "requests a month")
	f.Float64Var(&flags.traffic.Peak, "peak", cost.ExampleTraffic.Peak,
		"how many times its mean of the hours in service the traffic is at its peak")
	f.Float64Var(&flags.traffic.Tunnels, "tunnels", 0, "tunnels open at a time, at the peak")
	addContext(cmd, &flags.context)
	return cmd
}

// prices asks AWS, and falls back on the recorded ones.
func (f *costFlags) prices(ctx context.Context, s *streams) (cost.Prices, error) {
	cfg, err := operator.Config(ctx, f.Options)
	if cfg.Region == "" {
		return cost.Prices{}, err
	}
	if f.recorded {
		return cost.InTable(cfg.Region)
	}
	if err == nil {
		var prices cost.Prices
		if prices, err = cost.FromAWS(ctx, cfg, cfg.Region); err == nil {
			return prices, nil
		}
	}
	if ctx.Err() != nil {
		return cost.Prices{}, err
	}
	why := operator.Explain(err, f.Options)
	prices, err := cost.InTable(cfg.Region)
	if err != nil {
		return prices, fmt.Errorf("%w (%s)", err, why)
	}
	s.report("not AWS's own prices of today: " + why)
	return prices, nil
}

func (s *streams) cost(p *params.Params, e cost.Estimate) {
	fmt.Fprintf(s.out, "%s: %s.\n", e.Region, e.Source)
	fmt.Fprintf(s.out, "%d addresses; %.0f GB, of which %.0f to the internet, and %.0f requests a month.\n\n",
		p.FleetSize, e.Traffic.GB, e.Traffic.InternetGB, e.Traffic.Requests)
	rows := [][]cell{row("ITEM", "QUANTITY", "PRICE", "A MONTH")}
	for _, item := range e.Items {
		rows = append(rows, row(item.Name, item.Amount(), item.UnitPrice(), dollars(item.Cost)))
	}
	s.table(append(rows, row("total", "", "", dollars(e.Total)),
		row("for each address", "", "", dollars(e.PerAddress))))

	fmt.Fprintln(s.out, "\nThe addresses alone, without load balancer, log and traffic, and other ways to as many:")
	fmt.Fprintln(s.out)
	rows = [][]cell{row("ADDRESSES", "A MONTH", "AN ADDRESS", "DISTINCT A DAY", "EACH OF THOSE")}
	for _, way := range e.Comparison {
		rows = append(rows, row(way.Name, dollars(way.Month), dollars(way.PerAddress),
			fmt.Sprintf("%.4g", way.DistinctADay), fmt.Sprintf("%.2f¢", 100*way.PerDistinct)))
	}
	s.table(rows)
	if lost := e.Lost(); len(lost) > 0 {
		fmt.Fprintln(s.out)
		for _, line := range lost {
			fmt.Fprintln(s.out, line)
		}
	}
	fmt.Fprintln(s.out)
	s.load(p, e.Load)
}

// load says whether a fleet is large enough, and if not, which would be.
func (s *streams) load(p *params.Params, l cost.Load) {
	fmt.Fprintf(s.out, "At the peak, %.3g HTTPS requests and %.3g MB a second, %.0f tunnels open: "+
		"%.2g %% of half of what %d tasks with cpu=%d and memory=%d carry (measured: %s).\n",
		l.Requests, l.MB, l.Tunnels, 100*l.Share, p.FleetSize, p.CPU, p.Memory, l.Measured)
	if l.Share <= 1 {
		return
	}
	if len(l.Sizes) == 0 {
		fmt.Fprintln(s.out, "The fleet is too small. No single fleet is large enough: divide the traffic between "+
			"several.")
		return
	}
	fmt.Fprintln(s.out, "The fleet is too small. These are large enough:")
	fmt.Fprintln(s.out)
	rows := [][]cell{row("CPU", "MEMORY", "FLEETSIZE", "TOTAL A MONTH")}
	for _, size := range l.Sizes {
		rows = append(rows, row(size.CPU, size.Memory, size.FleetSize, dollars(size.Total)))
	}
	s.table(rows)
}

func dollars(usd float64) string { return fmt.Sprintf("$%.2f", usd) }
