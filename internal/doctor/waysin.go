package doctor

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"

	"squidfleet/internal/operator"
	"squidfleet/params"
)

func givenCertificate(v *visit) bool { return v.params.CertificateARN != "" }
func givenZone(v *visit) bool        { return v.params.HostedZoneID != "" }
func givenGroups(v *visit) bool      { return len(v.params.ClientSecurityGroups) > 0 }

// certificate looks at the one that the listeners are to have.
func (v *visit) certificate(ctx context.Context) (Finding, error) {
	arn, name := v.params.CertificateARN, v.params.DomainName
	fix := "give the certificateArn of one that is issued in " + v.cfg.Region + ", or domainName and hostedZoneId"
	if region := params.RegionOf(arn); region != v.cfg.Region {
		return problem(fix, "it is in %s, and the load balancer in %s", region, v.cfg.Region)
	}
	answer, err := acm.NewFromConfig(v.cfg).DescribeCertificate(ctx,
		&acm.DescribeCertificateInput{CertificateArn: aws.String(arn)})
	if isCode(err, "ResourceNotFoundException") {
		return problem(fix, "there is no %s", arn)
	}
	if err != nil {
		return Finding{}, err
	}
	c := answer.Certificate
	names := append([]string{aws.ToString(c.DomainName)}, c.SubjectAlternativeNames...)
	slices.Sort(names)
	names = slices.Compact(names)
	all := strings.Join(names, ", ")
	switch {
	case c.Status != acmtypes.CertificateStatusIssued:
		return problem(fix, "its status is %s, and ISSUED is needed", c.Status)
	case name != "" && (&x509.Certificate{DNSNames: names}).VerifyHostname(name) != nil:
		return problem("give a domainName that it covers, or another certificateArn", "it covers %s, and not %s", all,
			name)
	}
	return ok("issued, for %s", all)
}

// hostedZone looks at the one that gets the fleet's name, and the record that validates its
// certificate. Certificate Manager looks for that in public DNS only.
func (v *visit) hostedZone(ctx context.Context) (Finding, error) {
	id, name := v.params.HostedZoneID, v.params.DomainName
	answer, err := route53.NewFromConfig(v.cfg).GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: aws.String(id)})
	if isCode(err, "NoSuchHostedZone") {
		return problem("give the hostedZoneId of the public zone of "+name, "there is no zone %s", id)
	}
	if err != nil {
		return Finding{}, err
	}
	zone := strings.TrimSuffix(aws.ToString(answer.HostedZone.Name), ".")
	private := answer.HostedZone.Config != nil && answer.HostedZone.Config.PrivateZone
	inside := givenCertificate(v) && v.params.Endpoint == params.EndpointInternal
	switch {
	case !strings.HasSuffix("."+name, "."+zone):
		return problem("give a domainName in "+zone+", or another hostedZoneId",
			"%s is the zone %s, and %s is not in it", id, zone, name)
	case private && !inside:
		return problem("give the hostedZoneId of the public zone of "+name+"; a private one goes with certificateArn "+
			"and endpoint=internal", "%s is a private zone", id)
	}
	return ok("%s is in the zone %s", name, zone)
}

// groups looks for the security groups of clients.
func (v *visit) groups(ctx context.Context) (Finding, error) {
	wanted := v.params.ClientSecurityGroups
	found, err := operator.Collect(ctx, ec2.NewDescribeSecurityGroupsPaginator(ec2.NewFromConfig(v.cfg),
		&ec2.DescribeSecurityGroupsInput{
			Filters: append(v.ofVPC(), types.Filter{Name: aws.String("group-id"), Values: wanted}),
		}), func(p *ec2.DescribeSecurityGroupsOutput) []types.SecurityGroup { return p.SecurityGroups })
	if err != nil {
		return Finding{}, err
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), func(id string) bool {
		return slices.ContainsFunc(found, func(g types.SecurityGroup) bool { return aws.ToString(g.GroupId) == id })
	})
	if len(missing) > 0 {
		return problem("give groups of that VPC, or clientCidrs instead", "%s has no %s", v.params.VpcID,
			strings.Join(missing, ", "))
	}
	return ok("%s has %s", v.params.VpcID, strings.Join(wanted, ", "))
}
