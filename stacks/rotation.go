package stacks

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// rotation replaces every task from time to time.
type rotation struct {
	// failures receives each rotation that could not be started.
	failures awssqs.Queue
}

// updateService is the universal target that calls ECS's UpdateService, behind the partition. Only
// this spelling of it works.
const updateService = "scheduler:::aws-sdk:ecs:updateService"

// newRotation has EventBridge Scheduler start a new deployment at fixed times. A schedule with a
// rate would do so as soon as it exists, in the middle of the stack's own deployment. newRotation
// returns nil if rotateEvery is off.
func newRotation(stack awscdk.Stack, p *params.Params, s service) *rotation {
	if p.RotateEvery == 0 {
		return nil
	}
	failures := awssqs.NewQueue(stack, jsii.String("FailedRotations"), &awssqs.QueueProps{
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
		RemovalPolicy:   awscdk.RemovalPolicy_DESTROY,
	})
	// A role can be tied to the schedules of a group, but not to one schedule: Scheduler tries
	// the role before the schedule exists.
	group := awsscheduler.NewCfnScheduleGroup(stack, jsii.String("RotationGroup"), nil)
	role := awsiam.NewRole(stack, jsii.String("RotationRole"), &awsiam.RoleProps{
		Description: jsii.String("EventBridge Scheduler rotates the tasks of the proxy"),
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("scheduler.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			// No other schedule can use the role.
			Conditions: &map[string]any{"StringEquals": map[string]any{
				"aws:SourceAccount": stack.Account(),
				"aws:SourceArn":     group.AttrArn(),
			}},
		}),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			// The reference to a service is its ARN.
			"Rotate":         policy(allow([]string{"ecs:UpdateService"}, *s.service.Ref())),
			"ReportFailures": policy(allow([]string{"sqs:SendMessage"}, *failures.QueueArn())),
		},
	})
	awsscheduler.NewCfnSchedule(stack, jsii.String("Rotation"), &awsscheduler.CfnScheduleProps{
		Description:        jsii.String("Replaces every task of the proxy, and with it every egress address"),
		GroupName:          group.Ref(),
		ScheduleExpression: jsii.String(cron(p.RotateEvery)),
		// Without summer time each period is as long as the others.
		ScheduleExpressionTimezone: jsii.String("UTC"),
		FlexibleTimeWindow:         &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn:     jsii.String("arn:" + *stack.Partition() + ":" + updateService),
			RoleArn: role.RoleArn(),
			Input: stack.ToJsonString(map[string]any{
				"Cluster":            s.cluster.Ref(),
				"Service":            s.service.Ref(),
				"ForceNewDeployment": true,
			}, nil),
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumRetryAttempts:     jsii.Number(5),
				MaximumEventAgeInSeconds: jsii.Number(p.RetryTime().Seconds()),
			},
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: failures.QueueArn()},
		},
	})
	return &rotation{failures: failures}
}

// cron writes a period, which divides an hour or a day or is one or seven days, as fixed times:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
func cron(every time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case every < time.Hour:
		return fmt.Sprintf("cron(0/%d * * * ? *)", every/time.Minute)
	case every < day:
		return fmt.Sprintf("cron(0 0/%d * * ? *)", every/time.Hour)
	case every == day:
		return "cron(0 0 * * ? *)"
	}
	return "cron(0 0 ? * MON *)"
}
