package stacks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// network is where the fleet runs.
type network struct {
	// stack is where the fleet's other resources go.
	stack awscdk.Stack
	vpc   awsec2.IVpc
	// In a VPC that we make, the load balancer and the tasks have subnets of their own. A task
	// can then tell the load balancer's connections by the sender's address.
	loadBalancerSubnets, taskSubnets *awsec2.SubnetSelection
	loadBalancerCidrs                []netip.Prefix
	// vpcCidrs are the addresses inside the VPC: the tasks refuse them as destinations.
	vpcCidrs []netip.Prefix
	// imported says that we did not make the VPC: tasks may have another resolver than Amazon's.
	imported bool
	// pending says that the VPC or a subnet of it is yet to be looked up; stack is set then.
	pending bool
}

func (in Input) network(app awscdk.App) (network, error) {
	if err := in.checkRegions(); err != nil {
		return network{}, err
	}
	if in.Params.VpcID != "" {
		return in.importedNetwork(app)
	}
	return in.ownNetwork(app), nil
}

// checkRegions refuses what is in another region than the one that the credentials are for: no load
// balancer takes such a certificate, and no alarm such a topic. Without credentials the region is
// not known: the CDK CLI then names us-east-1.
func (in Input) checkRegions() error {
	p, zone := in.Params, ""
	if len(p.Zones) > 0 {
		zone = params.ZoneRegion(p.Zones[0])
	}
	for _, there := range []struct{ is, what, region string }{
		{"zones: are", "zones", zone},
		{"certificateArn: is", "a certificate", params.RegionOf(p.CertificateARN)},
		{"alarmTopicArn: is", "a topic", params.RegionOf(p.AlarmTopicARN)},
	} {
		if there.region != "" && there.region != in.Region && in.Account != "" && in.Region != "" {
			return fmt.Errorf("%s in %s, and the fleet would go to %s; give %s of that region, or another region to "+
				"the CDK, for instance with AWS_REGION", there.is, there.region, in.Region, there.what)
		}
	}
	return nil
}

// zones is how many availability zones our own VPC spans: the fewest with which the proxy
// outlives one.
const zones = 2

// loadBalancerMask is that of the smallest subnet a load balancer is allowed in.
const loadBalancerMask = 28

// ownNetwork makes a VPC that holds nothing private. Tasks need public addresses, so every subnet
// is public and there is no NAT gateway.
func (in Input) ownNetwork(app awscdk.App) network {
	stack := awscdk.NewStack(app, jsii.String(in.Params.StackName+"-Network"), &awscdk.StackProps{
		Tags:        in.tags(),
		Description: jsii.String("Squidfleet: the network of a forward proxy"),
	})
	public := func(name string, mask int) *awsec2.SubnetConfiguration {
		return &awsec2.SubnetConfiguration{
			Name:       jsii.String(name),
			SubnetType: awsec2.SubnetType_PUBLIC,
			CidrMask:   jsii.Number(mask),
			// Tasks and load balancer ask for their addresses themselves; nothing else gets one
			// by accident.
			MapPublicIpOnLaunch: jsii.Bool(false),
		}
	}
	props := &awsec2.VpcProps{
		IpAddresses: awsec2.IpAddresses_Cidr(jsii.String(in.Params.VpcCidr.String())),
		NatGateways: jsii.Number(0),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{
			public("LoadBalancer", loadBalancerMask),
			// A quarter of the VPC a zone.
			public("Tasks", in.Params.VpcCidr.Bits()+2),
		},
		// Emptying the default security group takes a Lambda function, and nothing of ours is in
		// that group.
		RestrictDefaultSecurityGroup: jsii.Bool(false),
	}
	if len(in.Params.Zones) > 0 {
		props.AvailabilityZones = jsii.Strings(in.Params.Zones...)
	} else {
		props.MaxAzs = jsii.Number(zones) // the first ones of the account in whatever region
	}
	vpc := awsec2.NewVpc(stack, jsii.String("Vpc"), props)
	n := network{
		stack:               in.proxyStack(app, nil),
		vpc:                 vpc,
		loadBalancerSubnets: &awsec2.SubnetSelection{SubnetGroupName: jsii.String("LoadBalancer")},
		taskSubnets:         &awsec2.SubnetSelection{SubnetGroupName: jsii.String("Tasks")},
		vpcCidrs:            []netip.Prefix{in.Params.VpcCidr},
	}
	for _, subnet := range *vpc.SelectSubnets(n.loadBalancerSubnets).Subnets {
		n.loadBalancerCidrs = append(n.loadBalancerCidrs, netip.MustParsePrefix(*subnet.Ipv4CidrBlock()))
	}
	openToIPv6(stack, vpc, n.loadBalancerSubnets)
	// Tasks need the routes of their subnets, to which nothing in their stack refers.
	n.stack.AddStackDependency(stack, jsii.String("tasks start only where there is a route to the internet"))
	return n
}

func (in Input) hasIPv6Clients() bool {
	return slices.ContainsFunc(in.Params.ClientCidrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// openToIPv6 gives IPv6 addresses and a route to the load balancer's subnets only. Tasks are
// reached over IPv4. Without IPv6 they cannot connect to IPv6 addresses inside the VPC, which
// Squid could not refuse, because Amazon chooses the range after squid.conf is written.
//
// It does so even without IPv6 clients. Removing the last of them would otherwise take away
// addresses that the load balancer still holds, which fails.
func openToIPv6(stack awscdk.Stack, vpc awsec2.Vpc, selection *awsec2.SubnetSelection) {
	block := awsec2.NewCfnVPCCidrBlock(stack, jsii.String("Ipv6Block"), &awsec2.CfnVPCCidrBlockProps{
		VpcId:                       vpc.VpcId(),
		AmazonProvidedIpv6CidrBlock: jsii.Bool(true),
	})
	// Amazon gives a VPC a /56; a subnet takes a /64.
	whole := awscdk.Fn_Select(jsii.Number(0), vpc.VpcIpv6CidrBlocks())
	blocks := awscdk.Fn_Cidr(whole, jsii.Number(zones), jsii.String("64"))
	for i, subnet := range *vpc.SelectSubnets(selection).Subnets {
		cfn := subnet.Node().DefaultChild().(awsec2.CfnSubnet)
		cfn.SetIpv6CidrBlock(awscdk.Fn_Select(jsii.Number(i), blocks))
		cfn.AddResourceDependency(block, jsii.String("the range is cut from the VPC's"))
		route := awsec2.NewCfnRoute(stack, jsii.String(fmt.Sprintf("Ipv6Route%d", i+1)), &awsec2.CfnRouteProps{
			RouteTableId:             subnet.RouteTable().RouteTableId(),
			DestinationIpv6CidrBlock: jsii.String("::/0"),
			GatewayId:                vpc.InternetGatewayId(),
		})
		// The subnet's IPv4 route waits for the gateway to be attached.
		route.Node().AddDependency(subnet.InternetConnectivityEstablished())
	}
}
