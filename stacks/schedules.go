package stacks

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
)

// schedules has EventBridge Scheduler update the addresses' services at fixed times. A schedule
// with a rate would do so as soon as it exists, in the middle of the stack's own deployment.
type schedules struct {
	stack   awscdk.Stack
	cluster awsecs.CfnCluster
	group   awsscheduler.CfnScheduleGroup
	role    awsiam.Role
	// failures receives each update that could not be made.
	failures awssqs.Queue
}

// updateService is the universal target that calls ECS's UpdateService, behind the partition. Only
// this spelling of it works.
const updateService = "scheduler:::aws-sdk:ecs:updateService"

// newSchedules makes the schedules of the addresses. It returns nil if there are none.
func newSchedules(stack awscdk.Stack, p *params.Params, cluster awsecs.CfnCluster, addresses []address) *schedules {
	if p.RotateEvery == 0 && p.ActiveHours.Days == nil {
		return nil
	}
	s := &schedules{stack: stack, cluster: cluster}
	s.failures = awssqs.NewQueue(stack, jsii.String("FailedRotations"), &awssqs.QueueProps{
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
		RemovalPolicy:   awscdk.RemovalPolicy_DESTROY,
	})
	// A role can be tied to the schedules of a group, but not to one schedule: Scheduler tries
	// the role before the schedule exists.
	s.group = awsscheduler.NewCfnScheduleGroup(stack, jsii.String("RotationGroup"), nil)
	s.role = awsiam.NewRole(stack, jsii.String("RotationRole"), &awsiam.RoleProps{
		Description: jsii.String("EventBridge Scheduler rotates, starts and stops the tasks of the proxy"),
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("scheduler.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			// No other schedule can use the role.
			Conditions: &map[string]any{"StringEquals": map[string]any{
				"aws:SourceAccount": stack.Account(),
				"aws:SourceArn":     s.group.AttrArn(),
			}},
		}),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			// All services of the cluster: a role has no room for the ARNs of a hundred.
			"Rotate": policy(allow([]string{"ecs:UpdateService"}, *stack.FormatArn(&awscdk.ArnComponents{
				Service: jsii.String("ecs"), Resource: jsii.String("service"),
				ResourceName: jsii.String(*cluster.Ref() + "/*"),
			}))),
			"ReportFailures": policy(allow([]string{"sqs:SendMessage"}, *s.failures.QueueArn())),
		},
	})
	for _, a := range addresses {
		if every := p.RotateEvery; every > 0 {
			// Without summer time each period is as long as the others. A rotation says nothing of
			// the number of tasks: it starts nothing that is stopped.
			s.add(a, "Rotation", "Replaces", cron(a.number, every), "UTC", p.RetryTime(), "ForceNewDeployment", true)
		}
		if hours := p.ActiveHours; hours.Days != nil {
			start, stop := startAndStop(hours)
			s.add(a, "Start", "Starts", start, p.Timezone, params.HoursRetry, "DesiredCount", 1)
			s.add(a, "Stop", "Stops", stop, p.Timezone, params.HoursRetry, "DesiredCount", 0)
		}
	}
	return s
}

// add makes a schedule that updates one setting of an address's service. An update that fails is
// tried again for the time retry.
func (s *schedules) add(a address, id, does, times, zone string, retry time.Duration, setting string, value any) {
	awsscheduler.NewCfnSchedule(s.stack, jsii.Sprintf("%s%d", id, a.number), &awsscheduler.CfnScheduleProps{
		Description:                jsii.Sprintf("%s egress address %d of the proxy", does, a.number),
		GroupName:                  s.group.Ref(),
		ScheduleExpression:         jsii.String(times),
		ScheduleExpressionTimezone: jsii.String(zone),
		FlexibleTimeWindow:         &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn:     jsii.String("arn:" + *s.stack.Partition() + ":" + updateService),
			RoleArn: s.role.RoleArn(),
			Input: s.stack.ToJsonString(map[string]any{
				"Cluster": s.cluster.Ref(),
				"Service": a.service.Ref(),
				setting:   value,
			}, nil),
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumRetryAttempts:     jsii.Number(5),
				MaximumEventAgeInSeconds: jsii.Number(retry.Seconds()),
			},
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: s.failures.QueueArn()},
		},
	})
}

const day = 24 * time.Hour

// cron writes the fixed times at which an address is rotated:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
func cron(number int, every time.Duration) string {
	offset := params.RotationOffset(number, every)
	minutes := offset / time.Minute
	minute, hour := minutes%60, minutes/60%24
	switch {
	case every < time.Hour:
		return fmt.Sprintf("cron(%d/%d * * * ? *)", minute, every/time.Minute)
	case every < day:
		return fmt.Sprintf("cron(%d %d/%d * * ? *)", minute, hour, every/time.Hour)
	case every == day:
		return fmt.Sprintf("cron(%d %d * * ? *)", minute, hour)
	}
	return fmt.Sprintf("cron(%d %d ? * %s *)", minute, hour, weekday(time.Monday+time.Weekday(offset/day)))
}

// startAndStop writes the fixed times of the active hours.
func startAndStop(h params.ActiveHours) (start, stop string) {
	var starts, stops []string
	for _, d := range h.Days {
		starts = append(starts, weekday(d))
		if h.Stop < h.Start {
			d++
		}
		stops = append(stops, weekday(d))
	}
	at := func(clock time.Duration, days []string) string {
		return fmt.Sprintf("cron(%d %d ? * %s *)", clock/time.Minute%60, clock/time.Hour, strings.Join(days, ","))
	}
	return at(h.Start, starts), at(h.Stop, stops)
}

func weekday(d time.Weekday) string { return strings.ToUpper((d % 7).String()[:3]) }
