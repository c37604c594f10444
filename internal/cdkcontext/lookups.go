package cdkcontext

import "fmt"

// Where the imported VPCs are.
const (
	Account = "123456789012"
	Region  = "eu-west-1"
)

// The VPCs that the tests import. Both have a private subnet too.
const (
	// VPC has public subnets in two zones, two of them in the first. One lies outside the VPC's
	// first range. It has IPv6.
	VPC = "vpc-0123456789abcdef0"
	// WideVPC has public subnets in three zones, two of them in the first. It has no IPv6.
	WideVPC = "vpc-0fedcba9876543210"
)

// Lookups is what cdk.context.json holds after the CDK CLI has looked up both VPCs in a region.
func Lookups(region string) map[string]any {
	subnet := func(id, zone, cidr string) any {
		s := map[string]any{
			"subnetId": id, "availabilityZone": region + zone, "routeTableId": "rtb-0123456789abcdef0", "cidr": cidr,
		}
		if cidr == "" { // for IPv6 alone
			delete(s, "cidr")
		}
		return s
	}
	vpc := func(id string, public ...any) map[string]any {
		private := []any{subnet("subnet-0c000001", "a", "203.0.114.0/24")}
		return map[string]any{
			"vpcId": id, "vpcCidrBlock": "10.20.0.0/16", "ownerAccountId": Account, "availabilityZones": []any{},
			"subnetGroups": []any{
				map[string]any{"name": "Public", "type": "Public", "subnets": public},
				map[string]any{"name": "Private", "type": "Private", "subnets": private},
			},
		}
	}
	ipv6 := func(id string, blocks ...any) any {
		return []any{map[string]any{"Ipv6CidrBlocks": append([]any{}, blocks...), "Identifier": id}}
	}
	range6 := func(id string) any {
		return []any{map[string]any{"Ipv6CidrBlock": "2600:1f18::/64", "Identifier": id}}
	}
	return map[string]any{
		SubnetKey(region, "subnet-0a000001"): range6("subnet-0a000001"),
		SubnetKey(region, "subnet-0b000001"): range6("subnet-0b000001"),
		VPCKey(region, VPC): vpc(VPC, subnet("subnet-0a000000", "a", ""),
			subnet("subnet-0a000001", "a", "10.20.0.0/24"),
			subnet("subnet-0a000002", "a", "10.20.1.0/24"), subnet("subnet-0b000001", "b", "10.21.0.0/24")),
		VPCKey(region, WideVPC): vpc(WideVPC, subnet("subnet-0a000003", "a", "10.20.0.0/24"),
			subnet("subnet-0b000003", "b", "10.20.1.0/24"), subnet("subnet-0c000003", "c", "10.20.2.0/24"),
			subnet("subnet-0d000001", "a", "10.20.3.0/24")),
		IPv6Key(region, VPC):     ipv6(VPC, "2600:1f18::/56"),
		IPv6Key(region, WideVPC): ipv6(WideVPC),
	}
}

// VPCKey returns the context key of a VPC's lookup.
func VPCKey(region, id string) string {
	return fmt.Sprintf("vpc-provider:account=%s:filter.vpc-id=%s:region=%s:"+
		"returnAsymmetricSubnets=true:returnVpnGateways=false", Account, id, region)
}

// IPv6Key returns the context key of the lookup of a VPC's IPv6 ranges.
func IPv6Key(region, id string) string { return ipv6Key(region, id, "Ipv6CidrBlocks", "VPC") }

// SubnetKey returns the context key of the lookup of a subnet's IPv6 range.
func SubnetKey(region, id string) string { return ipv6Key(region, id, "Ipv6CidrBlock", "Subnet") }

func ipv6Key(region, id, property, kind string) string {
	return fmt.Sprintf("cc-api-provider:account=%s:exactIdentifier=%s:propertiesToReturn.0=%s:"+
		"region=%s:typeName=AWS$:$:EC2$:$:%s", Account, id, property, region, kind)
}
