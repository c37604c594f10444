package stacks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// addOutputs tells what a person needs to use the fleet, as commands to paste where it can. Their ids are API, too.
func addOutputs(stack awscdk.Stack, p *params.Params, e entry, s service, log awslogs.CfnLogGroup, passwords []password, r *rotation) {
	output := func(id, description, value string) {
		awscdk.NewCfnOutput(stack, jsii.String(id), &awscdk.CfnOutputProps{
			Description: jsii.String(description),
			Value:       jsii.String(value),
		})
	}
	endpoint := fmt.Sprintf("%s:%d", *e.loadBalancer.LoadBalancerDnsName(), p.ListenerPort)
	output("Endpoint", "Host and port of the proxy", endpoint)
	if url := tryURL(p); url != "" {
		output("TryIt", "Asks for the password and shows an egress address", fmt.Sprintf("curl --proxy http://%s --proxy-digest --proxy-user %s %s", endpoint, p.Users[0], url))
	}
	var ids []string
	for _, password := range passwords {
		id := passwordOutput(password.user, ids)
		ids = append(ids, id)
		output(id, "Shows the password of the user "+password.user,
			fmt.Sprintf("aws secretsmanager get-secret-value --region %s --secret-id %s --query SecretString --output text", *stack.Region(), *password.secret.SecretArn()))
	}
	output("LogGroup", "Log group of the tasks", *log.Ref())
	output("FollowLog", "Shows the log as it is written", fmt.Sprintf("aws logs tail --region %s --follow %s", *stack.Region(), *log.Ref()))
	output("ClusterName", "ECS cluster of the fleet", *s.cluster.Ref())
	output("ServiceName", "ECS service of the fleet", *s.service.AttrName())
	if r != nil {
		output("RotationFailures", "Queue of the rotations that could not be started; empty when all is well", *r.failures.QueueUrl())
	}
}

// tryURL is a page of Amazon's that shows the address of whoever asks, by a scheme that the fleet's ports allow; "" when they allow neither.
func tryURL(p *params.Params) string {
	const host = "checkip.amazonaws.com"
	switch {
	case slices.Contains(p.ConnectPorts, 443):
		return "https://" + host
	case slices.Contains(p.HTTPPorts, 80):
		return "http://" + host
	}
	return ""
}

// passwordOutput makes an output id, which has letters and digits only, of a user name, which has more; a number keeps apart those that become the same.
func passwordOutput(user string, taken []string) string {
	plain := "PasswordOf" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, user)
	id := plain
	for n := 2; slices.Contains(taken, id); n++ {
		id = fmt.Sprintf("%sX%d", plain, n)
	}
	return id
}
