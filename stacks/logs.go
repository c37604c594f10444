package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/internal/logquery"
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

// newQueries saves the queries of CloudWatch Logs Insights, in a folder of the fleet's name. They
// cost something only where somebody runs them.
func newQueries(stack awscdk.Stack, p *params.Params, log awslogs.CfnLogGroup) {
	for _, q := range logquery.Queries {
		awslogs.NewCfnQueryDefinition(stack, jsii.String(q.ID), &awslogs.CfnQueryDefinitionProps{
			Name:          jsii.String(p.StackName + "/" + q.Name),
			QueryString:   jsii.String(q.Text),
			LogGroupNames: &[]any{log.Ref()},
		})
	}
}
