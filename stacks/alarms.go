package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/internal/logquery"
	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// figures names what CloudWatch knows of the fleet.
type figures struct {
	p *params.Params
	// The names of the load balancer, of its common target group, and of the queue of what failed,
	// which is nil without schedules.
	balancer, targets, failures *string
}

// figure is a metric. A period is in seconds.
type figure struct {
	namespace, name, stat string
	period                float64
	dimensions            [][2]*string
}

// ofBalancer is a figure of the load balancer, or of its common targets: all tasks are among them.
func (f figures) ofBalancer(name, stat string, period float64, targets bool) figure {
	one := figure{"AWS/NetworkELB", name, stat, period, [][2]*string{
		{jsii.String("LoadBalancer"), f.balancer}}}
	if targets {
		one.dimensions = append(one.dimensions,
			[2]*string{jsii.String("TargetGroup"), f.targets})
	}
	return one
}

// ofTasks is a figure that the tasks report themselves, if metrics is true.
func (f figures) ofTasks(name, stat string, period float64) figure {
	return figure{container.MetricsNamespace, name, stat, period, [][2]*string{
		{jsii.String(container.MetricsDimension), jsii.String(f.p.StackName)}}}
}

// ofLog counts lines of the log. A metric with a default value has no dimensions, so the namespace
// names the fleet.
func (f figures) ofLog(name string, period float64) figure {
	return figure{namespace: f.logNamespace(), name: name, stat: "Sum", period: period}
}

func (f figures) logNamespace() string { return container.MetricsNamespace + "/" + f.p.StackName }

// rotations that failed are messages in the queue.
func (f figures) failedRotations() figure {
	return figure{"AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 300, [][2]*string{
		{jsii.String("QueueName"), f.failures}}}
}

// alarm is one, with what its mail says. It is about the first figure, or about an expression of
// figures that are m1, m2 and so on.
type alarm struct {
	id, means  string
	figures    []figure
	expression string
	below      bool // the threshold; otherwise at or above it
	threshold  float64
	periods    float64 // in a row
	missing    string
}

// What no data means. An alarm that ignores it stays what it was.
const (
	good, bad, ignored = "notBreaching", "breaching", "ignore"
)

const minute, fiveMinutes = 60, 300

// alarms are the same few for every fleetSize.
func (f figures) alarms() []alarm {
	p := f.p
	healthy := f.ofBalancer("HealthyHostCount", "Minimum", minute, true)
	unhealthy := f.ofBalancer("UnHealthyHostCount", "Maximum", minute, true)
	few := alarm{id: "TooFewHealthy", means: "Less than half of the egress addresses serve.",
		figures: []figure{healthy}, below: true, threshold: float64((p.FleetSize + 1) / 2), periods: 5, missing: bad}
	if p.ActiveHours.Days != nil {
		// Nothing is registered outside of the hours, and no metric says what should be. So those that
		// are registered count, and what does not start at all is an event.
		few.figures, few.expression, few.threshold = append(few.figures, unhealthy), "m1 - m2", 0
		few.missing = good
	}
	all := []alarm{
		few,
		{id: "AddressUnhealthy", means: "An egress address does not answer, and ECS did not replace it.",
			figures: []figure{unhealthy}, threshold: 1, periods: 10, missing: good},
		{id: "PortsExhausted", means: "The load balancer had no port left for connections to a task, and refused some.",
			figures:   []figure{f.ofBalancer("PortAllocationErrorCount", "Sum", fiveMinutes, false)},
			threshold: 1, periods: 1, missing: good},
		{id: "DestinationsFail", means: "More than half of the requests fail at their destinations.",
			figures:    []figure{f.ofLog(logquery.Requests, fiveMinutes), f.ofLog(logquery.Failures, fiveMinutes)},
			expression: "IF(m1 >= 20, 100 * m2 / m1, 0)", threshold: 50, periods: 3, missing: good},
	}
	if f.failures != nil {
		// SQS reports nothing for a queue that nobody has touched for six hours.
		all = append(all, alarm{id: "UpdatesFailed", means: "A rotation, a start or a stop could not be begun.",
			figures: []figure{f.failedRotations()}, threshold: 1, periods: 1, missing: ignored})
	}
	if f.guessesTold() {
		all = append(all, alarm{id: "Guessing", means: "Somebody tries passwords, or a client has a wrong one.",
			figures: []figure{f.ofLog(logquery.Guesses, fiveMinutes)}, threshold: float64(50 * len(p.Users)),
			periods: 1, missing: good})
	}
	if p.Metrics {
		limit := squid.Config{Memory: p.Memory}.Descriptors()
		all = append(all,
			alarm{id: "DescriptorsScarce", means: "A task has nearly as many connections as its memory is for.",
				figures:   []figure{f.ofTasks("Descriptors", "Maximum", minute)},
				threshold: float64(limit * 8 / 10), periods: 5, missing: good},
			alarm{id: "MemoryScarce", means: "A task has nearly used up its memory; ECS ends one that has.",
				figures:   []figure{f.ofTasks("Memory", "Maximum", minute)},
				threshold: float64(p.Memory << 20 / 10 * 9), periods: 5, missing: good})
	}
	return all
}

// guessesTold reports whether the log says why credentials were refused: Squid's own Digest does
// not.
func (f figures) guessesTold() bool { return f.p.Auth.Passwords() && f.p.Digest == squid.DigestFleet }

// newAlarms makes the alarms, if somebody gets them, and what they need.
func newAlarms(stack awscdk.Stack, f figures, cluster awsecs.CfnCluster, log awslogs.CfnLogGroup) {
	if !f.p.Alarms() {
		return
	}
	topic := newTopic(stack, f.p)
	for _, filter := range logquery.Filters {
		if filter.Metric == logquery.Guesses && !f.guessesTold() {
			continue
		}
		awslogs.NewCfnMetricFilter(stack, jsii.String(filter.Metric), &awslogs.CfnMetricFilterProps{
			LogGroupName:  log.Ref(),
			FilterPattern: jsii.String(filter.Pattern),
			MetricTransformations: &[]*awslogs.CfnMetricFilter_MetricTransformationProperty{{
				MetricNamespace: jsii.String(f.logNamespace()),
				MetricName:      jsii.String(filter.Metric),
				MetricValue:     jsii.String("1"),
				DefaultValue:    jsii.Number(0),
			}},
		})
	}
	for _, a := range f.alarms() {
		operator := "GreaterThanOrEqualToThreshold"
		if a.below {
			operator = "LessThanThreshold"
		}
		actions := &[]any{topic}
		awscloudwatch.NewCfnAlarm(stack, jsii.String(a.id), &awscloudwatch.CfnAlarmProps{
			AlarmDescription:   jsii.Sprintf("%s What to do: docs/operate.md#alarms, %s", a.means, a.id),
			Metrics:            a.queries(),
			ComparisonOperator: jsii.String(operator),
			Threshold:          jsii.Number(a.threshold),
			EvaluationPeriods:  jsii.Number(a.periods),
			TreatMissingData:   jsii.String(a.missing),
			AlarmActions:       actions,
			OkActions:          actions,
		})
	}
	newDeploymentRule(stack, cluster, topic)
}

func (a alarm) queries() *[]any {
	var all []any
	for i, one := range a.figures {
		var dimensions []any
		for _, d := range one.dimensions {
			dimensions = append(dimensions, &awscloudwatch.CfnAlarm_DimensionProperty{Name: d[0], Value: d[1]})
		}
		metric := &awscloudwatch.CfnAlarm_MetricProperty{
			Namespace: jsii.String(one.namespace), MetricName: jsii.String(one.name),
		}
		if dimensions != nil {
			metric.Dimensions = &dimensions
		}
		all = append(all, &awscloudwatch.CfnAlarm_MetricDataQueryProperty{
			Id: jsii.Sprintf("m%d", i+1),
			MetricStat: &awscloudwatch.CfnAlarm_MetricStatProperty{
				Metric: metric, Stat: jsii.String(one.stat), Period: jsii.Number(one.period),
			},
			ReturnData: jsii.Bool(a.expression == ""),
		})
	}
	if a.expression != "" {
		all = append(all, &awscloudwatch.CfnAlarm_MetricDataQueryProperty{
			Id: jsii.String("e"), Expression: jsii.String(a.expression), ReturnData: jsii.Bool(true),
		})
	}
	return &all
}

// newTopic returns the ARN of the topic that gets alarms. One of the fleet's own has one reader,
// who confirms the first mail. It is not encrypted with AWS's own key, with which CloudWatch may
// not publish; alarms hold no secret.
func newTopic(stack awscdk.Stack, p *params.Params) *string {
	if p.AlarmTopicARN != "" {
		return jsii.String(p.AlarmTopicARN)
	}
	topic := awssns.NewCfnTopic(stack, jsii.String("Alarms"), nil)
	awssns.NewCfnSubscription(stack, jsii.String("AlarmMail"), &awssns.CfnSubscriptionProps{
		TopicArn: topic.Ref(), Protocol: jsii.String("email"), Endpoint: jsii.String(p.AlarmEmail),
	})
	// https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
	publish := func(service string) map[string]any {
		return map[string]any{
			"Effect": "Allow", "Principal": map[string]any{"Service": service}, "Action": "sns:Publish",
			"Resource":  topic.Ref(),
			"Condition": map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": stack.Account()}},
		}
	}
	awssns.NewCfnTopicPolicy(stack, jsii.String("AlarmPublishers"), &awssns.CfnTopicPolicyProps{
		Topics: &[]*string{topic.Ref()},
		PolicyDocument: map[string]any{"Version": "2012-10-17",
			"Statement": []any{publish("cloudwatch.amazonaws.com"), publish("events.amazonaws.com")}},
	})
	return topic.Ref()
}

// newDeploymentRule tells of a rotation that ECS gave up, and of an address that does not start: no
// metric of AWS's shows either. An event names its service.
func newDeploymentRule(stack awscdk.Stack, cluster awsecs.CfnCluster, topic *string) {
	services := *stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("ecs"), Resource: jsii.String("service"),
		ResourceName: jsii.String(fmt.Sprintf("%s/", *cluster.Ref())),
	})
	awsevents.NewCfnRule(stack, jsii.String("FailedDeployments"), &awsevents.CfnRuleProps{
		Description: jsii.String("ECS gave up a rotation of the proxy, or cannot start a task"),
		EventPattern: map[string]any{
			"source":      []string{"aws.ecs"},
			"detail-type": []string{"ECS Deployment State Change", "ECS Service Action"},
			"resources":   []any{map[string]any{"prefix": services}},
			"detail": map[string]any{"eventName": []string{
				"SERVICE_DEPLOYMENT_FAILED", "SERVICE_TASK_START_IMPAIRED", "SERVICE_TASK_PLACEMENT_FAILURE",
			}},
		},
		Targets: &[]*awsevents.CfnRule_TargetProperty{{Id: jsii.String("Topic"), Arn: topic}},
	})
}
