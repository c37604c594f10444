package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// newLog makes the group of the tasks' log streams. It is deleted with the stack.
func newLog(stack awscdk.Stack, p *params.Params) awslogs.CfnLogGroup {
	group := awslogs.NewCfnLogGroup(stack, jsii.String("Log"), &awslogs.CfnLogGroupProps{
		RetentionInDays: jsii.Number(p.LogRetentionDays),
	})
	group.ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, nil)
	return group
}
