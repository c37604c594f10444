package params

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"

	"squidfleet/destination"
)

// The sizes of the fleet's own VPC. AWS allows /16 to /28, but a quarter of a /27 is smaller than
// the smallest subnet. Source:
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html.
const (
	largestVPC     = 16
	smallestVPC    = 26
	defaultVpcCidr = "10.0.0.0/16"
)

// vpcBlock is a block for the fleet's own VPC.
var vpcBlock = block{example: defaultVpcCidr, check: checkVpcCidr}

// checkVpcCidr accepts private IPv4 blocks. AWS allows public ones as well, but the proxy could
// then not reach their real owners.
func checkVpcCidr(p netip.Prefix) error {
	if !p.Addr().Is4() {
		return fmt.Errorf("%s is IPv6; give an IPv4 block of /%d to /%d", p, largestVPC, smallestVPC)
	}
	if p.Bits() < largestVPC || p.Bits() > smallestVPC {
		return fmt.Errorf("%s has the wrong size; give /%d, the largest block AWS allows, to /%d, "+
			"the smallest that holds the subnets", p, largestVPC, smallestVPC)
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
		return errors.New(show(s) + " is not a VPC's id; give vpc- and 8 or 17 hexadecimal digits in lower case, " +
			"or nothing for the fleet's own VPC")
	}
	return nil
}

// zoneForm is the name of an availability zone: that of its region, and a letter. Local zones and
// Wavelength zones have longer names, and no Fargate.
var zoneForm = regexp.MustCompile(`^([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2})[a-z]$`)

// ZoneRegion returns the region of an availability zone by the zone's name, or "".
func ZoneRegion(zone string) string {
	if parts := zoneForm.FindStringSubmatch(zone); parts != nil {
		return parts[1]
	}
	return ""
}

var zoneIDForm = regexp.MustCompile(`^[a-z0-9]+-az[0-9]+$`)

func checkZone(s string) error {
	switch {
	case ZoneRegion(s) != "":
		return nil
	case zoneIDForm.MatchString(s):
		return errors.New(show(s) + " is a zone's id; give its name in your account, which " +
			"aws ec2 describe-availability-zones shows beside the id")
	}
	return errors.New(show(s) + " is not the name of an availability zone; give one such as eu-west-1a")
}

func otherRegion(earlier, later, path string, i int) string {
	if ZoneRegion(earlier) == ZoneRegion(later) {
		return ""
	}
	return fmt.Sprintf("%s is not in %s as %s[%d] is; give zones of one region", later, ZoneRegion(earlier), path, i)
}

// largestFleet returns how many tasks the fleet's own VPC has room for.
//
// The tasks have a subnet in each of two zones, a quarter of the VPC's block, of which AWS keeps
// five addresses. A rotation starts the new tasks beside the old ones, so a fleet needs twice its
// size in addresses: its size in each zone.
func largestFleet(vpc netip.Prefix) int {
	const reserved = 5
	subnet := vpc.Bits() + 2
	return 1<<(32-subnet) - reserved
}
