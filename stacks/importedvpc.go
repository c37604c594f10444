package stacks

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"
)

// importedNetwork finds the VPC that vpcId names. The CDK CLI looks it up: the first synth asks,
// later ones read the answer from cdk.context.json.
func (in Input) importedNetwork(app awscdk.App) (network, error) {
	id := in.Params.VpcID
	if in.Account == "" || in.Region == "" {
		return network{}, fmt.Errorf("vpcId: looking up %q needs an account and a region: give the AWS CLI's "+
			"credentials and region, for instance with AWS_PROFILE or cdk --profile, "+
			"or leave vpcId out for a VPC of its own", id)
	}
	stack := in.proxyStack(app, &awscdk.Environment{
		Account: jsii.String(in.Account),
		Region:  jsii.String(in.Region),
	})
	vpc := awsec2.Vpc_FromLookup(stack, jsii.String("Vpc"), &awsec2.VpcLookupOptions{
		VpcId:             jsii.String(id),
		ReturnVpnGateways: jsii.Bool(false),
	})
	ipv6, _ := lookUp(stack, "AWS::EC2::VPC", id, "Ipv6CidrBlocks")
	if failures := failedLookups(stack); len(failures) > 0 {
		return network{}, fmt.Errorf("vpcId: looking up %q in account %s and region %s failed: %s; "+
			"give the id of an existing VPC, and credentials that may read it",
			id, in.Account, in.Region, strings.Join(failures, "; "))
	}
	// Until the lookup is done the CDK returns a made-up VPC with another id.
	if *vpc.VpcId() != id {
		return network{stack: stack, pending: true}, nil
	}
	n := network{stack: stack, vpc: vpc, imported: true}

	public := withIPv4(*vpc.PublicSubnets())
	if err := checkPublicSubnets(id, public); err != nil {
		return network{}, err
	}
	var ids []*string
	for _, subnet := range public {
		ids = append(ids, subnet.SubnetId())
	}
	// A load balancer takes one subnet a zone.
	n.loadBalancerSubnets = &awsec2.SubnetSelection{
		SubnetType:    awsec2.SubnetType_PUBLIC,
		SubnetFilters: &[]awsec2.SubnetFilter{awsec2.SubnetFilter_ByIds(&ids)},
		OnePerAz:      jsii.Bool(true),
	}
	n.taskSubnets = n.loadBalancerSubnets
	chosen := vpc.SelectSubnets(n.loadBalancerSubnets)

	// The lookup gives only the VPC's first range; everything in a further one is in a subnet.
	all := slices.Concat(*vpc.PublicSubnets(), *vpc.PrivateSubnets(), *vpc.IsolatedSubnets())
	var err, failed error
	n.loadBalancerCidrs, err = prefixes(ranges(*chosen.Subnets))
	n.vpcCidrs, failed = prefixes(slices.Concat(ranges(withIPv4(all)), ipv6, []string{*vpc.VpcCidrBlock()}))
	if err := cmp.Or(err, failed); err != nil {
		return network{}, fmt.Errorf("vpcId: %q has no usable range: %w", id, err)
	}
	n.vpcCidrs = withoutContained(n.vpcCidrs)
	if in.hasIPv6Clients() {
		n.pending, err = checkIPv6(stack, id, ipv6, *chosen.SubnetIds)
	}
	return n, err
}

// checkIPv6 refuses a VPC without IPv6, and subnets without it: for IPv6 clients a load balancer
// needs it in each. It reports whether a subnet is yet to be looked up.
func checkIPv6(stack awscdk.Stack, id string, vpc []string, subnets []*string) (pending bool, err error) {
	without := "the VPC and its public subnets"
	if len(vpc) > 0 {
		var lacking []string
		for _, subnet := range subnets {
			blocks, found := lookUp(stack, "AWS::EC2::Subnet", *subnet, "Ipv6CidrBlock")
			if pending = pending || !found; len(blocks) == 0 {
				lacking = append(lacking, *subnet)
			}
		}
		if failures := failedLookups(stack); len(failures) > 0 {
			return false, fmt.Errorf("vpcId: looking up the subnets of %q failed: %s; "+
				"give credentials that may read them",
				id, strings.Join(failures, "; "))
		}
		if pending || len(lacking) == 0 {
			return pending, nil
		}
		without = strings.Join(lacking, " and ")
	}
	return false, fmt.Errorf("clientCidrs: holds IPv6 addresses, which cannot reach VPC %q: give %s IPv6 ranges and "+
		"routes to the internet gateway, and run \"cdk context --clear\"; or remove the IPv6 addresses", id, without)
}

// failedLookups returns why lookups failed, each reason on one line. The CDK notes them as errors
// of the stack and would report them itself only after everything is written.
func failedLookups(stack awscdk.Stack) []string {
	var failures []string
	for _, note := range *stack.Node().Metadata() {
		if *note.Type == "aws:cdk:error" {
			failures = append(failures, strings.Join(strings.Fields(fmt.Sprint(note.Data)), " "))
		}
	}
	slices.Sort(failures)
	return slices.Compact(failures)
}

func checkPublicSubnets(id string, subnets []awsec2.ISubnet) error {
	var found []string
	for _, subnet := range subnets {
		if zone := *subnet.AvailabilityZone(); !slices.Contains(found, zone) {
			found = append(found, zone)
		}
	}
	const fix = `add public subnets, run "cdk context --clear", or give another VPC`
	switch len(found) {
	case 0:
		return fmt.Errorf("vpcId: %q has no public subnet with IPv4, and tasks need public IPv4 addresses: %s", id, fix)
	case 1:
		return fmt.Errorf("vpcId: %q has public subnets in one zone only (%s), "+
			"and the proxy needs two to outlive one: %s", id, found[0], fix)
	}
	return nil
}

// withIPv4 leaves out subnets for IPv6 alone. The CDK panics where one is asked for its range.
func withIPv4(subnets []awsec2.ISubnet) []awsec2.ISubnet {
	return slices.DeleteFunc(slices.Clone(subnets), func(subnet awsec2.ISubnet) (without bool) {
		defer func() { without = recover() != nil }()
		subnet.Ipv4CidrBlock()
		return false
	})
}

func ranges(subnets []awsec2.ISubnet) (ipv4 []string) {
	for _, subnet := range subnets {
		ipv4 = append(ipv4, *subnet.Ipv4CidrBlock())
	}
	return ipv4
}

func prefixes(ranges []string) (all []netip.Prefix, err error) {
	for _, text := range ranges {
		p, wrong := netip.ParsePrefix(text)
		all, err = append(all, p), cmp.Or(err, wrong)
	}
	return all, err
}

// withoutContained sorts the prefixes and drops those inside another.
func withoutContained(prefixes []netip.Prefix) []netip.Prefix {
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	var outer []netip.Prefix
	for _, p := range prefixes {
		if !slices.ContainsFunc(outer, func(o netip.Prefix) bool { return o.Overlaps(p) }) {
			outer = append(outer, p)
		}
	}
	return outer
}

// lookUp returns a property of a resource as a list, which Vpc_FromLookup does not give. It
// reports false until the lookup is done.
func lookUp(stack awscdk.Stack, kind, id, property string) (values []string, done bool) {
	result := awscdk.ContextProvider_GetValue(stack, &awscdk.GetContextValueOptions{
		Provider: jsii.String("cc-api-provider"),
		Props: &map[string]any{
			"typeName":           kind,
			"exactIdentifier":    id,
			"propertiesToReturn": []string{property},
		},
		DummyValue: []any{},
	})
	resources, _ := result.Value.([]any)
	for _, resource := range resources {
		properties, _ := resource.(map[string]any)
		list, is := properties[property].([]any)
		if value := properties[property]; !is && value != nil {
			list = []any{value}
		}
		for _, value := range list {
			values = append(values, fmt.Sprint(value))
		}
	}
	return values, len(resources) > 0
}
