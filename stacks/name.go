package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// newName gives the load balancer the fleet's name, and returns the ARN of the listeners'
// certificate, or nil if clients do not speak TLS.
func newName(stack awscdk.Stack, p *params.Params, balancer elb.NetworkLoadBalancer, ipv6 bool) *string {
	if p.HostedZoneID != "" {
		kinds := []string{"A"}
		if ipv6 {
			kinds = append(kinds, "AAAA")
		}
		for _, kind := range kinds {
			awsroute53.NewCfnRecordSet(stack, jsii.String("Name"+kind), &awsroute53.CfnRecordSetProps{
				HostedZoneId: jsii.String(p.HostedZoneID),
				Name:         jsii.String(p.DomainName),
				Type:         jsii.String(kind),
				AliasTarget: &awsroute53.CfnRecordSet_AliasTargetProperty{
					DnsName:      balancer.LoadBalancerDnsName(),
					HostedZoneId: balancer.LoadBalancerCanonicalHostedZoneId(),
				},
			})
		}
	}
	switch {
	case p.CertificateARN != "":
		return jsii.String(p.CertificateARN)
	case p.DomainName != "":
		// Certificate Manager itself writes the record that proves the name into the zone.
		return awscertificatemanager.NewCfnCertificate(stack, jsii.String("Certificate"),
			&awscertificatemanager.CfnCertificateProps{
				DomainName:       jsii.String(p.DomainName),
				ValidationMethod: jsii.String("DNS"),
				DomainValidationOptions: &[]*awscertificatemanager.CfnCertificate_DomainValidationOptionProperty{{
					DomainName:   jsii.String(p.DomainName),
					HostedZoneId: jsii.String(p.HostedZoneID),
				}},
			}).Ref()
	}
	return nil
}
