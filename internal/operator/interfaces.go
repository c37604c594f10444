package operator

import (
	"context"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// filterValues is how many values EC2 takes in one filter.
const filterValues = 200

// publicAddresses returns the public IPv4 address of each network interface that has one. EC2
// leaves out those that are gone: a filter finds nothing, where a list of ids would be refused.
func (f *Connection) publicAddresses(ctx context.Context, ids []string) (map[string]netip.Addr, error) {
	found := map[string]netip.Addr{}
	for chunk := range slices.Chunk(ids, filterValues) {
		pages := ec2.NewDescribeNetworkInterfacesPaginator(f.ec2, &ec2.DescribeNetworkInterfacesInput{
			Filters: []types.Filter{{Name: aws.String("network-interface-id"), Values: chunk}},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, i := range page.NetworkInterfaces {
				if i.Association == nil {
					continue
				}
				if address, err := netip.ParseAddr(aws.ToString(i.Association.PublicIp)); err == nil {
					found[aws.ToString(i.NetworkInterfaceId)] = address
				}
			}
		}
	}
	return found, nil
}
