package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"time"
)

// updateService is the universal target that calls ECS's UpdateService; Scheduler takes no other spelling.
const updateService = "arn:aws:scheduler:::aws-sdk:ecs:updateService"

// checkRotation: the schedule replaces the tasks every rotateEvery, with a role for just that, and what fails is kept to be seen.
func (f *fleet) checkRotation() {
	if f.RotateEvery == 0 {
		return // inventory tells if there is a schedule all the same
	}
	schedule := f.first(f.proxy, "AWS::Scheduler::Schedule")
	group := f.first(f.proxy, "AWS::Scheduler::ScheduleGroup")
	failures := f.first(f.proxy, "AWS::SQS::Queue")
	role := f.byReference(at(schedule.properties, "Target", "RoleArn"), "AWS::IAM::Role")

	f.want(group, "schedule", "", object{})
	f.want(schedule, "schedule", "", object{
		"Description": "Replaces every task of the proxy, and with it every egress address", "GroupName": group.ref(), "State": optional{"ENABLED"},
		"FlexibleTimeWindow": object{"Mode": "OFF"}, "ScheduleExpression": matcher(f.everyRotation),
		"Target": object{
			"Arn": updateService, "RoleArn": role.att("Arn"), "Input": matcher(f.updateInput),
			"DeadLetterConfig": object{"Arn": failures.att("Arn")},
			// So early that it is over before the next one, which makes up for it.
			"RetryPolicy": object{"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": int(f.RetryTime().Seconds())},
		},
	})
	f.want(role, "trust", "the scheduler assumes it for this group's schedules, and nobody else", object{"AssumeRolePolicyDocument": trust("scheduler.amazonaws.com", object{
		"StringEquals": object{"aws:SourceAccount": f.sub("${AWS::AccountId}"), "aws:SourceArn": group.att("Arn")},
	})})
	f.grants(role, "EventBridge Scheduler rotates the tasks of the proxy", set{"Rotate", "ReportFailures"}, []grant{{"ecs:UpdateService", f.service.ref()}, {"sqs:SendMessage", failures.att("Arn")}})
	if role == f.executionRole && role.there() {
		f.at(role, "role", "is the scheduler's and ECS's; each needs one of its own")
	}

	f.want(failures, "failures", "there has to be time to notice", object{"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": true})
	f.want(f.first(f.proxy, "AWS::SQS::QueuePolicy"), "failures", "", object{
		"Queues": list{failures.ref()},
		"PolicyDocument": object{"Version": "2012-10-17", "Statement": list{object{
			"Effect": "Deny", "Principal": object{"AWS": "*"}, "Action": "sqs:*", "Resource": failures.att("Arn"), "Condition": object{"Bool": object{"aws:SecureTransport": false}},
		}}},
	})
}

// rate is how Scheduler writes an interval: 1 goes with the singular, any other number with the plural.
var rate = regexp.MustCompile(`^rate\((?:1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minute|hour|day)s)\)$`)

func (f *fleet) everyRotation(got any) string {
	expression, _ := got.(string)
	m := rate.FindStringSubmatch(expression)
	if m == nil {
		return fmt.Sprintf("is %s, want rate(1 minute), rate(2 hours) or the like", show(got))
	}
	n := 1
	if m[2] != "" {
		n, _ = strconv.Atoi(m[2])
	}
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[m[1]+m[3]]
	if every := time.Duration(n) * unit; every != f.RotateEvery {
		return fmt.Sprintf("is %s, every %s, want every %s: rotateEvery", show(got), every, f.RotateEvery)
	}
	return ""
}

// updateInput compares the arguments of UpdateService, which Scheduler hands over as they are: a "true" in quotes is no boolean to ECS. That a key stands there once shows in the length.
func (f *fleet) updateInput(got any) string {
	text, _ := got.(string)
	want := map[string]any{"Cluster": f.cluster.ref(), "Service": f.service.ref(), "ForceNewDeployment": true}
	var input map[string]any
	var dense bytes.Buffer
	should, err := json.Marshal(want)
	if err != nil || json.Compact(&dense, []byte(text)) != nil || json.Unmarshal(dense.Bytes(), &input) != nil || !maps.Equal(input, want) || dense.Len() != len(should) {
		return fmt.Sprintf("is %s, want %s", show(got), show(string(should)))
	}
	return ""
}
