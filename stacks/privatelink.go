package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// newEndpointService lets the principals make endpoints that lead to the load balancer. It returns
// nil if there are none.
func newEndpointService(stack awscdk.Stack, p *params.Params, balancer elb.NetworkLoadBalancer,
) awsec2.CfnVPCEndpointService {
	if len(p.PrivateLinkPrincipals) == 0 {
		return nil
	}
	service := awsec2.NewCfnVPCEndpointService(stack, jsii.String("EndpointService"),
		&awsec2.CfnVPCEndpointServiceProps{
			NetworkLoadBalancerArns: &[]any{balancer.LoadBalancerArn()},
			// Only the principals can ask.
			AcceptanceRequired: jsii.Bool(false),
		})
	awsec2.NewCfnVPCEndpointServicePermissions(stack, jsii.String("EndpointServicePermissions"),
		&awsec2.CfnVPCEndpointServicePermissionsProps{
			ServiceId:         service.Ref(),
			AllowedPrincipals: jsii.Strings(p.PrivateLinkPrincipals...),
		})
	return service
}
