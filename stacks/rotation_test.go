package stacks

import (
	"fmt"
	"testing"
	"time"
)

func TestRotationReplacesTheTasksOfThisService(t *testing.T) {
	for name, want := range map[string]struct {
		rate    string
		seconds int
	}{
		"default": {"rate(1 hour)", 2940},
		"full":    {"rate(1 day)", 3600},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := synth(t, everyFleet[name]).proxy
			cluster, _ := proxy.only(t, "AWS::ECS::Cluster")
			service, _ := proxy.only(t, "AWS::ECS::Service")
			queue, _ := proxy.only(t, "AWS::SQS::Queue")
			group, _ := proxy.only(t, "AWS::Scheduler::ScheduleGroup")
			_, schedule := proxy.only(t, "AWS::Scheduler::Schedule")
			role := attributeOf(schedule["Target"].(map[string]any)["RoleArn"], "Arn")
			equal(t, "the schedule", without(schedule, "Description"), fmt.Sprintf(`{
				"FlexibleTimeWindow": {"Mode": "OFF"}, "GroupName": {"Ref": %q}, "ScheduleExpression": %q,
				"Target": {
					"Arn": "arn:aws:scheduler:::aws-sdk:ecs:updateService",
					"RoleArn": {"Fn::GetAtt": [%q, "Arn"]},
					"Input": {"Fn::Join": ["", ["{\"Cluster\":\"", {"Ref": %q}, "\",\"ForceNewDeployment\":true,\"Service\":\"", {"Ref": %q}, "\"}"]]},
					"RetryPolicy": {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": %d},
					"DeadLetterConfig": {"Arn": {"Fn::GetAtt": [%q, "Arn"]}}}}`, group, want.rate, role, cluster, service, want.seconds, queue))
		})
	}
}

func TestRotationRoleCanRotateThisServiceAndNothingElse(t *testing.T) {
	proxy := synth(t).proxy
	service, _ := proxy.only(t, "AWS::ECS::Service")
	queue, _ := proxy.only(t, "AWS::SQS::Queue")
	group, _ := proxy.only(t, "AWS::Scheduler::ScheduleGroup")
	_, schedule := proxy.only(t, "AWS::Scheduler::Schedule")
	trust, policies := proxy.statements(attributeOf(schedule["Target"].(map[string]any)["RoleArn"], "Arn"))
	equal(t, "who may take the role", trust, `[{"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"},
		"Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}, "aws:SourceArn": {"Fn::GetAtt": ["`+group+`", "Arn"]}}}}]`)
	equal(t, "what the role may do", policies, `[
		{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["`+queue+`", "Arn"]}},
		{"Effect": "Allow", "Action": "ecs:UpdateService", "Resource": {"Ref": "`+service+`"}}]`)
}

func TestFailedRotationsAreKeptForTwoWeeks(t *testing.T) {
	proxy := synth(t).proxy
	queue, properties := proxy.only(t, "AWS::SQS::Queue")
	equal(t, "the queue", properties, `{"MessageRetentionPeriod": 1209600, "SqsManagedSseEnabled": true}`)
	_, policy := proxy.only(t, "AWS::SQS::QueuePolicy")
	equal(t, "its policy", policy, fmt.Sprintf(`{"Queues": [{"Ref": %q}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [{
		"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sqs:*", "Resource": {"Fn::GetAtt": [%[1]q, "Arn"]}, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}}`, queue))
}

func TestWithoutRotationNothingOfItIsLeft(t *testing.T) {
	proxy := synth(t, everyFleet["image"]).proxy
	for _, resourceType := range []string{"AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy"} {
		if ids := proxy.ids(resourceType); len(ids) != 0 {
			t.Errorf("%v", ids)
		}
	}
	if _, has := proxy.Outputs["RotationFailures"]; has {
		t.Error("there is an output about rotations")
	}
}

func TestRateIsWrittenAsSchedulerWantsIt(t *testing.T) {
	for every, want := range map[time.Duration]string{
		10 * time.Minute:     "rate(10 minutes)",
		time.Hour:            "rate(1 hour)",
		90 * time.Minute:     "rate(90 minutes)",
		6 * time.Hour:        "rate(6 hours)",
		24 * time.Hour:       "rate(1 day)",
		36 * time.Hour:       "rate(36 hours)",
		365 * 24 * time.Hour: "rate(365 days)",
	} {
		if got := rate(every); got != want {
			t.Errorf("%v: %s, want %s", every, got, want)
		}
	}
}
