package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// foundVPC is what the CDK CLI has found out about an imported VPC.
type foundVPC struct {
	VpcID        string `json:"vpcId"`
	VpcCidrBlock string `json:"vpcCidrBlock"`
	SubnetGroups []struct {
		Type    string `json:"type"`
		Subnets []struct {
			SubnetID         string `json:"subnetId"`
			AvailabilityZone string `json:"availabilityZone"`
			Cidr             string `json:"cidr"`
		} `json:"subnets"`
	} `json:"subnetGroups"`
}

// isLookup reports whether a key of the CLI's context file is that of a lookup.
func isLookup(key string) bool {
	return strings.Contains(key, ":account=") || strings.Contains(key, ":region=")
}

// fleetLookup matches the keys of the lookups that a fleet in an imported VPC makes: of the VPC, and of its IPv6 ranges.
var fleetLookup = regexp.MustCompile(`^vpc-provider:.*:filter\.vpc-id=|^cc-api-provider:.*:typeName=AWS\$:\$:EC2\$:\$:VPC$`)

// checkLookups: the CLI keeps no lookups but those that fleets make, and none that failed. Which fleets it is that the file serves cannot be told from one assembly.
func checkLookups(a *Assembly) []Finding {
	var findings []Finding
	for _, key := range slices.Sorted(maps.Keys(a.Lookups)) {
		value, _ := a.Lookups[key].(map[string]any)
		switch {
		case isLookup(key) && !fleetLookup.MatchString(key):
			findings = append(findings, Finding{a.ContextFile, none, "context", fmt.Sprintf("%q: no fleet needs this lookup; drop it (cdk context --reset)", key), Files})
		case value["$providerError"] != nil:
			findings = append(findings, Finding{a.ContextFile, none, "context", fmt.Sprintf("%q: the lookup failed: %v", key, value["$providerError"]), Files})
		}
	}
	return findings
}

// lookup returns what the CLI has found out about the fleet's imported VPC, and false if it keeps nothing.
func (f *fleet) lookup() (foundVPC, bool) {
	for _, key := range slices.Sorted(maps.Keys(f.assembly.Lookups)) {
		if !strings.HasPrefix(key, "vpc-provider:") || !strings.Contains(key, ":filter.vpc-id="+f.VpcID+":") {
			continue
		}
		if !strings.Contains(key, ":account="+f.proxy.Account+":") || !strings.Contains(key, ":region="+f.proxy.Region+":") {
			continue
		}
		text, err := json.Marshal(f.assembly.Lookups[key])
		var found foundVPC
		if err == nil && json.Unmarshal(text, &found) == nil && found.VpcID == f.VpcID {
			return found, true
		}
	}
	f.report(f.proxy.Name, none, "context", "vpcId: %s: %s holds no lookup of it in account %q and region %q, so that nobody can tell which subnets are public; synthesise with the CDK CLI and keep the file",
		f.VpcID, f.assembly.ContextFile, f.proxy.Account, f.proxy.Region)
	return foundVPC{}, false
}

// publicSubnets says what is wrong with a list of subnets of an imported VPC.
func (f *fleet) publicSubnets(ids []string) string {
	found, ok := f.lookup()
	if !ok {
		return ""
	}
	zone := map[string]string{}
	for _, group := range found.SubnetGroups {
		for _, subnet := range group.Subnets {
			if group.Type == "Public" {
				zone[subnet.SubnetID] = subnet.AvailabilityZone
			}
		}
	}
	taken := map[string]string{}
	for _, id := range ids {
		z, public := zone[id]
		if !public {
			return fmt.Sprintf("has %s, which is no public subnet of %s as last looked up", show(id), f.VpcID)
		}
		if taken[z] != "" {
			return fmt.Sprintf("has %s and %s in one zone, %s", taken[z], id, z)
		}
		taken[z] = id
	}
	return ""
}

// importedRanges returns the ranges of the subnets that the load balancer is in, and every range of the VPC that the lookups tell.
func (f *fleet) importedRanges() (loadBalancer, vpc []netip.Prefix) {
	found, _ := f.lookup()
	add := func(to *[]netip.Prefix, cidr string) {
		if p, err := netip.ParsePrefix(cidr); err == nil {
			*to = append(*to, p)
		}
	}
	add(&vpc, found.VpcCidrBlock)
	ids, _ := textsOf(f.loadBalancerSubnets())
	for _, group := range found.SubnetGroups {
		for _, subnet := range group.Subnets {
			add(&vpc, subnet.Cidr)
			if slices.Contains(ids, subnet.SubnetID) {
				add(&loadBalancer, subnet.Cidr)
			}
		}
	}
	for key, value := range f.assembly.Lookups {
		if !strings.HasPrefix(key, "cc-api-provider:") || !strings.Contains(key, "="+f.VpcID+":") {
			continue
		}
		list, _ := value.([]any)
		for _, item := range list {
			blocks, _ := at(item, "Ipv6CidrBlocks").([]any)
			for _, block := range blocks {
				add(&vpc, fmt.Sprint(block))
			}
		}
	}
	return loadBalancer, vpc
}
