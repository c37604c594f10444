package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"squidfleet/internal/operator"
)

// traffic is TCP that has to pass a network ACL.
type traffic struct {
	egress      bool
	first, last int32
	peer        netip.Prefix
}

// needed is what the fleet sends and receives. A network ACL knows no connections: answers need
// rules too, for the ports that their askers chose.
// https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports
func (v *visit) needed(public []subnet) (all []traffic) {
	anywhere, listener := netip.MustParsePrefix("0.0.0.0/0"), int32(v.params.ListenerPort)
	for _, c := range v.params.ClientCidrs {
		all = append(all, traffic{false, listener, listener, c}, traffic{true, 1024, 65535, c})
	}
	for _, s := range public { // between the load balancer and the tasks
		all = append(all, traffic{false, 1024, 65535, s.cidr}, traffic{true, 1024, 65535, s.cidr})
	}
	for _, port := range slices.Concat(v.params.HTTPPorts, v.params.ConnectPorts, []int{80, 443}) {
		all = append(all, traffic{true, int32(port), int32(port), anywhere})
	}
	return append(all, traffic{false, 32768, 60999, anywhere}) // the kernel's own range
}

// stops returns a port at which the entries, sorted by number, stop the traffic, or 0. An entry
// for only a part of the peer's block does not count.
func stops(entries []types.NetworkAclEntry, t traffic) int32 {
	ports := []int32{t.first}
	var relevant []types.NetworkAclEntry
	for _, e := range entries {
		block, err := netip.ParsePrefix(cmp.Or(aws.ToString(e.CidrBlock), aws.ToString(e.Ipv6CidrBlock)))
		if err != nil || aws.ToBool(e.Egress) != t.egress || block.Bits() > t.peer.Bits() ||
			!block.Contains(t.peer.Addr()) || !slices.Contains([]string{"-1", "6"}, aws.ToString(e.Protocol)) {
			continue
		}
		relevant = append(relevant, e)
		if e.PortRange != nil { // at its ends the answer may change
			ports = append(ports, aws.ToInt32(e.PortRange.From), aws.ToInt32(e.PortRange.To)+1)
		}
	}
	for _, port := range ports {
		i := slices.IndexFunc(relevant, func(e types.NetworkAclEntry) bool {
			return e.PortRange == nil || aws.ToInt32(e.PortRange.From) <= port && port <= aws.ToInt32(e.PortRange.To)
		})
		if t.first <= port && port <= t.last && (i < 0 || relevant[i].RuleAction != types.RuleActionAllow) {
			return port
		}
	}
	return 0
}

func (v *visit) networkACLs(ctx context.Context, public []subnet) (Finding, error) {
	all, err := operator.Collect(ctx,
		ec2.NewDescribeNetworkAclsPaginator(ec2.NewFromConfig(v.cfg),
			&ec2.DescribeNetworkAclsInput{Filters: v.ofVPC()}),
		func(p *ec2.DescribeNetworkAclsOutput) []types.NetworkAcl { return p.NetworkAcls })
	if err != nil {
		return Finding{}, err
	}
	var stopped []string
	for _, acl := range all {
		if !slices.ContainsFunc(acl.Associations, func(a types.NetworkAclAssociation) bool {
			return slices.ContainsFunc(public, func(s subnet) bool { return s.id == aws.ToString(a.SubnetId) })
		}) {
			continue
		}
		slices.SortFunc(acl.Entries, func(a, b types.NetworkAclEntry) int {
			return cmp.Compare(aws.ToInt32(a.RuleNumber), aws.ToInt32(b.RuleNumber))
		})
		for _, t := range v.needed(public) {
			if port := stops(acl.Entries, t); port != 0 {
				direction := map[bool]string{false: "in from", true: "out to"}[t.egress]
				stopped = append(stopped,
					fmt.Sprintf("%s stops port %d %s %s", aws.ToString(acl.NetworkAclId), port, direction, t.peer))
			}
		}
	}
	if len(stopped) > 0 {
		return problem(fmt.Sprintf("allow TCP in: %d from clientCidrs, 1024-65535 from the VPC, 32768-60999 from "+
			"anywhere; out: 1024-65535 to clientCidrs and the VPC, 80, 443, httpPorts and connectPorts to anywhere",
			v.params.ListenerPort), "%s", strings.Join(stopped, "; "))
	}
	return ok("those of the public subnets stop nothing that the fleet needs")
}
