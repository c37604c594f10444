package doctor

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"

	"squidfleet/internal/operator"
	"squidfleet/params"
)

// quota is one of AWS's. The codes are those of "aws service-quotas
// list-aws-default-service-quotas".
type quota struct {
	name, service, code string
	// need is what the fleet takes. With 0 the quota does not matter.
	need func(*params.Params) float64
	// used counts what there is already, by an action; nil if that is not counted.
	used   func(*visit, context.Context) (int, error)
	action string
}

var quotas = []quota{
	{"Fargate On-Demand vCPUs", "fargate", "L-3032A538",
		func(p *params.Params) float64 { return vCPUs(p, p.FleetSize-p.SpotAddresses()) }, nil, ""},
	{"Fargate Spot vCPUs", "fargate", "L-36FBB829",
		func(p *params.Params) float64 { return vCPUs(p, p.SpotAddresses()) }, nil, ""},
	{"Network Load Balancers", "elasticloadbalancing", "L-69A177A2", func(*params.Params) float64 { return 1 },
		(*visit).loadBalancers, "elasticloadbalancing:DescribeLoadBalancers"},
	{"VPCs", "vpc", "L-F678F1CE", oneWithOwnVPC, (*visit).vpcs, "ec2:DescribeVpcs"},
	{"internet gateways", "vpc", "L-A4707A72", oneWithOwnVPC, (*visit).gateways, "ec2:DescribeInternetGateways"},
	{"rules of a security group", "vpc", "L-0EA8095F", rules, nil, ""},
}

// vCPUs is what tasks take while all are replaced, by a deployment or by hand: old and new ones run
// side by side. Scheduled rotations are spread, and take less.
func vCPUs(p *params.Params, tasks int) float64 { return 2 * float64(tasks) * float64(p.CPU) / 1024 }

func oneWithOwnVPC(p *params.Params) float64 {
	if p.VpcID != "" {
		return 0
	}
	return 1
}

// rules is how many a security group may have in one direction. AWS counts IPv4 and IPv6 apart, and
// a group of clients for both. Inwards each has one for ICMP besides. Outwards there are at most 50
// for the destination ports, and two for names.
func rules(p *params.Params) float64 {
	ipv4 := 0
	for _, c := range p.ClientCidrs {
		if c.Addr().Is4() {
			ipv4++
		}
	}
	ports := slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.HTTPPorts, p.ConnectPorts, []int{80, 443}))))
	groups := len(p.ClientSecurityGroups)
	return float64(max(ipv4+groups+1, len(p.ClientCidrs)-ipv4+groups+1, min(len(ports), 50)+2))
}

func quotaChecks() (all []check) {
	for _, q := range quotas {
		actions := []string{"servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota"}
		if q.used != nil {
			actions = append(actions, q.action)
		}
		all = append(all, check{"quota: " + q.name, actions, func(v *visit) bool { return q.need(v.params) > 0 },
			func(v *visit, ctx context.Context) (Finding, error) { return v.quota(ctx, q) }})
	}
	return all
}

func (v *visit) quota(ctx context.Context, q quota) (Finding, error) {
	limit, err := v.limit(ctx, q)
	if err != nil {
		return Finding{}, err
	}
	need := q.need(v.params)
	detail := fmt.Sprintf("%g allowed, the fleet takes %g", limit, need)
	if q.service == "fargate" {
		detail += " while all are replaced"
	}
	if q.used != nil {
		used, err := q.used(v, ctx)
		if err != nil {
			return Finding{}, err
		}
		detail += fmt.Sprintf(", %d are in use", used)
		if v.fleet != nil { // its own is one of them
			need--
		}
		need += float64(used)
	}
	if limit >= need {
		return ok("%s", detail)
	}
	return problem(fmt.Sprintf("aws service-quotas request-service-quota-increase --region %s --service-code %s "+
		"--quota-code %s --desired-value %g", v.cfg.Region, q.service, q.code, math.Ceil(need)), "%s", detail)
}

// limit is the account's own value of a quota, or AWS's default where it has none.
func (v *visit) limit(ctx context.Context, q quota) (float64, error) {
	client := servicequotas.NewFromConfig(v.cfg)
	own, err := client.GetServiceQuota(ctx,
		&servicequotas.GetServiceQuotaInput{ServiceCode: aws.String(q.service), QuotaCode: aws.String(q.code)})
	if err == nil {
		return aws.ToFloat64(own.Quota.Value), nil
	}
	if !isCode(err, "NoSuchResourceException") {
		return 0, err
	}
	general, err := client.GetAWSDefaultServiceQuota(ctx,
		&servicequotas.GetAWSDefaultServiceQuotaInput{ServiceCode: aws.String(q.service),
			QuotaCode: aws.String(q.code)})
	if err != nil {
		return 0, err
	}
	return aws.ToFloat64(general.Quota.Value), nil
}

func (v *visit) loadBalancers(ctx context.Context) (n int, err error) {
	all, err := operator.Collect(ctx, elasticloadbalancingv2.NewDescribeLoadBalancersPaginator(
		elasticloadbalancingv2.NewFromConfig(v.cfg), nil),
		func(p *elasticloadbalancingv2.DescribeLoadBalancersOutput) []elbtypes.LoadBalancer {
			return p.LoadBalancers
		})
	for _, b := range all {
		if b.Type == elbtypes.LoadBalancerTypeEnumNetwork {
			n++
		}
	}
	return n, err
}

func (v *visit) vpcs(ctx context.Context) (int, error) {
	all, err := operator.Collect(ctx, ec2.NewDescribeVpcsPaginator(ec2.NewFromConfig(v.cfg), nil),
		func(p *ec2.DescribeVpcsOutput) []types.Vpc { return p.Vpcs })
	return len(all), err
}

func (v *visit) gateways(ctx context.Context) (int, error) {
	all, err := operator.Collect(ctx, ec2.NewDescribeInternetGatewaysPaginator(ec2.NewFromConfig(v.cfg), nil),
		func(p *ec2.DescribeInternetGatewaysOutput) []types.InternetGateway { return p.InternetGateways })
	return len(all), err
}
