// Package cost computes what a fleet costs a month from AWS's list prices, item by item, and what
// other ways to as many addresses cost.
package cost

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"squidfleet/params"
)

// Prices are list prices of a region in US dollars, without free tiers and discounts.
type Prices struct {
	Region string
	// Source says where the prices come from, and of when they are.
	Source string

	// VCPU and GB are an hour of Fargate, by architecture.
	VCPU, GB map[params.Architecture]float64
	// IPv4 is an hour of a public address.
	IPv4 float64
	// LoadBalancer is an hour of a Network Load Balancer, LCU an hour of one of its capacity units.
	LoadBalancer, LCU float64
	// Zone is a GB that leaves or enters a zone, Internet one that AWS sends to the internet, of the
	// first 10 TB a month.
	Zone, Internet float64
	// Log is a GB that CloudWatch Logs takes.
	Log float64
	// Metric is a month of a metric of the account's own, Alarm one of a metric with an alarm.
	Metric, Alarm float64
	// Secret is a month of a secret.
	Secret float64

	// NAT is an hour of a NAT gateway, RegionalNAT one of a zone of a regional NAT gateway, and NATGB
	// a GB through either.
	NAT, RegionalNAT, NATGB float64
	// Instance is an hour of a t4g.nano, Disk a month of a GB of gp3.
	Instance, Disk float64
}

// spotShare is what of Fargate's price Fargate Spot costs. AWS changes it with supply and demand,
// and the price list does not have it. https://aws.amazon.com/fargate/pricing/ says "up to 70 %" off.
const spotShare = 0.3

// table holds the regions whose prices this package knows by itself.
var table = map[string]Prices{
	// The source of each price is AWS's price list as others recorded it, on the day behind the
	// price. AWS's own pages are https://aws.amazon.com/SERVICE/pricing/.
	"us-east-1": {
		Region: "us-east-1",
		Source: "list prices recorded in this program, the last of them in September 2026",
		VCPU: map[params.Architecture]float64{
			params.X8664: 0.04048, // AmazonECS, USE1-Fargate-vCPU-Hours:perCPU, 2026-09-29
			params.ARM64: 0.03238, // AmazonECS, USE1-Fargate-ARM-vCPU-Hours:perCPU, 2026-08-28
		},
		GB: map[params.Architecture]float64{
			params.X8664: 0.004445, // AmazonECS, USE1-Fargate-GB-Hours, 2026-09-29
			params.ARM64: 0.00356,  // AmazonECS, USE1-Fargate-ARM-GB-Hours, 2026-08-28
		},
		IPv4: 0.005, // AmazonVPC, USE1-PublicIPv4:InUseAddress, 2026-08-12
		// https://clustercost.com/blog/network-load-balancer-pricing-2025, and for the unit
		// https://aws.amazon.com/elasticloadbalancing/pricing/ (the same in all regions but a few).
		LoadBalancer: 0.0225,
		LCU:          0.006,
		Zone:         0.01, // each way; https://www.usage.ai/blogs/aws-network-costs/, May 2026
		Internet:     0.09, // AWSDataTransfer, DataTransfer-Out-Bytes, 2026-09-29
		Log:          0.50, // https://c3x.dev/blog/cloudwatch-logs-cost-optimization, June 2026
		Metric:       0.30, // https://signoz.io/guides/cloudwatch-pricing, February 2026
		Alarm:        0.10, // https://c3x.dev/resources/aws/aws_cloudwatch_metric_alarm
		// https://aws.amazon.com/secrets-manager/pricing/; AWSSecretsManager in another region,
		// 2026-09-27, has the same.
		Secret:      0.40,
		NAT:         0.045,  // AmazonEC2, NatGateway-Hours, 2026-09-29
		RegionalNAT: 0.045,  // AmazonEC2, RegionalNatGateway-Hours, 2026-08-12
		NATGB:       0.045,  // AmazonEC2, NatGateway-Bytes, 2026-09-29
		Instance:    0.0042, // AmazonEC2, BoxUsage:t4g.nano, 2026-08-12
		Disk:        0.08,   // AmazonEC2, EBS:VolumeUsage.gp3, 2026-08-12
	},
}

// InTable returns the prices that this package knows by itself. It knows few regions: prices are
// never guessed from another region's.
func InTable(region string) (Prices, error) {
	prices, known := table[region]
	if !known {
		return prices, fmt.Errorf("no prices for %s without AWS: sign in, so that they can be asked for with "+
			"pricing:GetProducts, or give --region %s", region, strings.Join(slices.Sorted(maps.Keys(table)), " or "))
	}
	return prices, nil
}
