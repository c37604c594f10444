package stacks

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/internal/paste"
	"squidfleet/params"
)

// addOutputs writes what a user of the fleet needs, where possible as commands to paste. The
// outputs' ids are API, too.
func addOutputs(stack awscdk.Stack, p *params.Params, e endpoint, cluster awsecs.CfnCluster,
	log awslogs.CfnLogGroup, secrets []secret, s *schedules) {
	output := func(id, description, format string, arguments ...any) {
		awscdk.NewCfnOutput(stack, jsii.String(id), &awscdk.CfnOutputProps{
			Description: jsii.String(description),
			Value:       jsii.Sprintf(format, arguments...),
		})
	}
	address := fmt.Sprintf("%s:%d", p.Host(*e.loadBalancer.LoadBalancerDnsName()), p.ListenerPort)
	output("Endpoint", "Host and port of the proxy; the port leads to any egress address", "%s", address)
	output("Scheme", "Scheme of the proxy's URL: https where clients speak TLS to it", "%s", p.Scheme())
	if e.service != nil {
		output("PrivateLinkService", "Name of the service that PrivateLink endpoints lead to",
			"com.amazonaws.vpce.%s.%s", *stack.Region(), *e.service.Ref())
	}
	if url := tryURL(p); url != "" {
		way := paste.Way{Auth: p.Auth, TLS: p.TLS()}
		description, via := "Shows an egress address", way.Open(address)
		if p.Auth.Passwords() {
			description = "Asks for the password and shows an egress address"
			via = way.Asking(address, p.Users[0])
		}
		output("TryIt", description, "%s", paste.Curl(via, url))
	}
	var ids []string
	for _, s := range secrets {
		if s.User == "" {
			continue
		}
		id := passwordOutput(s.User, ids)
		ids = append(ids, id)
		output(id, "Shows the password of the user "+s.User,
			"aws secretsmanager get-secret-value --region %s --secret-id %s --query SecretString --output text",
			*stack.Region(), *s.stored.SecretArn())
	}
	output("LogGroup", "Log group of the tasks", "%s", *log.Ref())
	output("FollowLog", "Shows the log as it is written",
		"aws logs tail --region %s --follow %s", *stack.Region(), *log.Ref())
	output("ClusterName", "ECS cluster of the fleet", "%s", *cluster.Ref())
	output("RotateEvery", "How often each egress address is replaced", "%s", params.FormatPeriod(p.RotateEvery))
	if s != nil {
		output("RotationFailures", "Queue of the rotations, starts and stops that failed; empty when all is well",
			"%s", *s.failures.QueueUrl())
	}
}

// tryURL returns a page of Amazon's that shows the client's address, with a scheme that the
// fleet's ports allow. It returns "" if they allow none.
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

// passwordOutput makes an output id from a user name. Only letters and digits are left of it; a
// number keeps equal ids apart.
func passwordOutput(user string, taken []string) string {
	plain := "PasswordOf" + regexp.MustCompile(`[^a-zA-Z0-9]`).ReplaceAllString(user, "")
	id := plain
	for n := 2; slices.Contains(taken, id); n++ {
		id = fmt.Sprintf("%sX%d", plain, n)
	}
	return id
}
