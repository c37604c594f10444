package doctor

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"squidfleet/internal/operator"
)

// ofSubnets is a check of the public subnets, with the action that it calls besides.
func ofSubnets(
	name, action string, applies func(*visit) bool, run func(*visit, context.Context, []subnet) (Finding, error),
) check {
	actions := []string{"ec2:DescribeSubnets", "ec2:DescribeRouteTables"}
	if action != "" {
		actions = append(actions, action)
	}
	return check{name, actions, applies, func(v *visit, ctx context.Context) (Finding, error) {
		public, err := v.public()
		if err != nil {
			return Finding{}, err
		}
		return run(v, ctx, public)
	}}
}

func ipv6Clients(v *visit) bool {
	return importedVPC(v) && slices.ContainsFunc(v.params.ClientCidrs,
		func(c netip.Prefix) bool { return c.Addr().Is6() })
}

// subnet is a public one of the imported VPC.
type subnet struct {
	types.Subnet
	id, zone string
	cidr     netip.Prefix
	ipv6     bool // it has a range
	routed6  bool // and a route to an internet gateway
}

func (v *visit) ofVPC() []types.Filter {
	return []types.Filter{{Name: aws.String("vpc-id"), Values: []string{v.params.VpcID}}}
}

// publicSubnets returns the subnets with a route to an internet gateway.
func (v *visit) publicSubnets(ctx context.Context) (public []subnet, err error) {
	client := ec2.NewFromConfig(v.cfg)
	tables, err := operator.Collect(ctx,
		ec2.NewDescribeRouteTablesPaginator(client, &ec2.DescribeRouteTablesInput{Filters: v.ofVPC()}),
		func(p *ec2.DescribeRouteTablesOutput) []types.RouteTable { return p.RouteTables })
	if err != nil {
		return nil, err
	}
	all, err := operator.Collect(ctx,
		ec2.NewDescribeSubnetsPaginator(client, &ec2.DescribeSubnetsInput{Filters: v.ofVPC()}),
		func(p *ec2.DescribeSubnetsOutput) []types.Subnet { return p.Subnets })
	for _, s := range all {
		found := subnet{Subnet: s, id: aws.ToString(s.SubnetId), zone: aws.ToString(s.AvailabilityZone)}
		routes := routesOf(tables, found.id)
		if !lead(routes, "0.0.0.0/0") {
			continue
		}
		if found.cidr, err = netip.ParsePrefix(aws.ToString(s.CidrBlock)); err != nil {
			return nil, err
		}
		for _, a := range s.Ipv6CidrBlockAssociationSet {
			found.ipv6 = found.ipv6 || a.Ipv6CidrBlockState != nil &&
				a.Ipv6CidrBlockState.State == types.SubnetCidrBlockStateCodeAssociated
		}
		found.routed6 = found.ipv6 && lead(routes, "::/0")
		public = append(public, found)
	}
	return public, err
}

// routesOf returns the routes of a subnet: those of its own table, or of the VPC's main one.
func routesOf(tables []types.RouteTable, id string) (routes []types.Route) {
	for _, t := range tables {
		for _, a := range t.Associations {
			if aws.ToString(a.SubnetId) == id {
				return t.Routes
			}
			if aws.ToBool(a.Main) {
				routes = t.Routes
			}
		}
	}
	return routes
}

// lead reports whether the route for a destination goes to an internet gateway that is attached.
func lead(routes []types.Route, destination string) bool {
	return slices.ContainsFunc(routes, func(r types.Route) bool {
		return (aws.ToString(r.DestinationCidrBlock) == destination ||
			aws.ToString(r.DestinationIpv6CidrBlock) == destination) &&
			strings.HasPrefix(aws.ToString(r.GatewayId), "igw-") && r.State == types.RouteStateActive
	})
}

func (v *visit) subnets(_ context.Context, public []subnet) (Finding, error) {
	zones := map[string]bool{}
	var without []string
	for _, s := range public {
		zones[s.zone] = true
		if !v.hasFargate(aws.ToString(s.AvailabilityZoneId)) {
			without = append(without, s.id+" in "+s.zone)
		}
	}
	names := strings.Join(slices.Sorted(maps.Keys(zones)), ", ")
	switch {
	case len(zones) < 2:
		return problem("add public subnets, with a route from 0.0.0.0/0 to an internet gateway, or give another vpcId",
			"two zones with public subnets are needed, and %s has them in: %s", v.params.VpcID, names)
	case len(without) > 0:
		return problem("give another vpcId: the fleet takes a public subnet of every zone",
			"public subnets where there is no Fargate: %s", strings.Join(without, ", "))
	}
	return ok("%d public ones in %s", len(public), names)
}

// freeAddresses counts the room for old and new tasks. The fleet takes one public subnet a zone:
// the count is of the one with the least room.
func (v *visit) freeAddresses(_ context.Context, public []subnet) (Finding, error) {
	zones := map[string]int{}
	for _, s := range public {
		n := int(aws.ToInt32(s.AvailableIpAddressCount))
		if least, seen := zones[s.zone]; seen {
			n = min(n, least)
		}
		zones[s.zone] = n
	}
	free, need := 0, 2*v.params.FleetSize
	if v.fleet != nil {
		need = v.params.FleetSize // the others are in use
	}
	for _, n := range zones {
		free += n
	}
	if free < need {
		return problem("give a VPC with larger public subnets, or a smaller fleetSize",
			"%d, and a deployment needs %d", free, need)
	}
	return ok("%d, and a deployment needs %d", free, need)
}

func (v *visit) subnetsIPv6(_ context.Context, public []subnet) (Finding, error) {
	var without []string
	for _, s := range public {
		if !s.routed6 {
			without = append(without, s.id)
		}
	}
	if len(without) > 0 {
		return problem("give them IPv6 ranges and a route from ::/0 to the internet gateway, "+
			"or clientCidrs without IPv6",
			"clientCidrs has IPv6, which cannot reach %s", strings.Join(without, ", "))
	}
	return ok("each can be reached by it")
}

// tasksIPv6 looks at the account setting that gives tasks IPv6 addresses where a subnet has IPv6:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
func (v *visit) tasksIPv6(ctx context.Context, public []subnet) (Finding, error) {
	if !slices.ContainsFunc(public, func(s subnet) bool { return s.ipv6 }) {
		return ok("no public subnet has it")
	}
	const setting = "dualStackIPv6"
	answer, err := ecs.NewFromConfig(v.cfg).ListAccountSettings(ctx,
		&ecs.ListAccountSettingsInput{Name: setting, EffectiveSettings: true})
	if err != nil {
		return Finding{}, err
	}
	if slices.ContainsFunc(answer.Settings, func(s ecstypes.Setting) bool {
		// The API knows both words.
		return s.Name == setting && slices.Contains([]string{"enabled", "on"}, aws.ToString(s.Value))
	}) {
		return problem(fmt.Sprintf("aws ecs put-account-setting-default --region %s --name %s --value disabled",
			v.cfg.Region, setting), "with the account setting %s, tasks also leave by IPv6 addresses, which "+
			"squidfleet ips does not list", setting)
	}
	return ok("the account setting %s is off", setting)
}
