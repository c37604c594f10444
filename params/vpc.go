package params

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"

	"squidfleet/destination"
)

// The sizes of a VPC of the fleet's own. AWS allows /16 to /28; below /26 a quarter of the block is smaller than the smallest subnet.
// Source: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html.
const (
	largestVPC     = 16
	smallestVPC    = 26
	defaultVpcCidr = "10.0.0.0/16"
)

// vpcBlock is a block for a VPC of the fleet's own.
var vpcBlock = block{example: defaultVpcCidr, check: checkVpcCidr}

// checkVpcCidr takes a block of private IPv4 addresses. AWS would take public ones as well, but their real owners could then not be reached
// through the proxy.
func checkVpcCidr(p netip.Prefix) error {
	if !p.Addr().Is4() {
		return fmt.Errorf("%s is IPv6; give an IPv4 block of /%d to /%d", p, largestVPC, smallestVPC)
	}
	if p.Bits() < largestVPC || p.Bits() > smallestVPC {
		return fmt.Errorf("%s has the wrong size; give /%d, the largest block AWS allows, to /%d, the smallest that holds the subnets", p, largestVPC, smallestVPC)
	}
	var inside []string
	for _, r := range destination.Ranges() {
		if !r.Openable || !r.Prefix.Addr().Is4() {
			continue
		}
		if contains(r.Prefix, p) {
			return nil
		}
		inside = append(inside, r.Prefix.String())
	}
	return fmt.Errorf("%s is not a private block; give one inside %s", p, either(inside))
}

var vpcIDForm = regexp.MustCompile(`^vpc-(?:[0-9a-f]{8}|[0-9a-f]{17})$`)

func checkVpcID(s string) error {
	if s != "" && !vpcIDForm.MatchString(s) {
		return errors.New(show(s) + " is not a VPC's id; give vpc- and 8 or 17 hexadecimal digits in lower case, or nothing for a VPC of the fleet's own")
	}
	return nil
}

// largestFleet returns how many tasks a VPC of the fleet's own has room for.
//
// The VPC spans two zones and each zone's tasks live in a subnet of a quarter of the VPC's block (the load balancer has subnets of its own), in
// which AWS keeps five addresses for itself. A rotation starts the new tasks beside the old ones, so a fleet needs twice its size in addresses:
// over two zones that is its size in each.
func largestFleet(vpc netip.Prefix) int {
	const reserved = 5
	subnet := vpc.Bits() + 2
	return 1<<(32-subnet) - reserved
}
