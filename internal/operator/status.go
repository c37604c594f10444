package operator

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"squidfleet/params"
)

// Alarm is one of the fleet's alarms. The names of its JSON are stable.
type Alarm struct {
	Name string `json:"name"`
	// State is CloudWatch's: OK, ALARM or INSUFFICIENT_DATA. Since is how long.
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Meaning is its description: what it means and what to do.
	Meaning string `json:"meaning"`
}

// AlarmOn is the state of an alarm that rings.
const AlarmOn = "ALARM"

// Alarms returns the fleet's alarms. CloudFormation begins their names with the stack's.
func (f *Connection) Alarms(ctx context.Context) ([]Alarm, error) {
	found, err := Collect(ctx, cloudwatch.NewDescribeAlarmsPaginator(f.watch, &cloudwatch.DescribeAlarmsInput{
		AlarmNamePrefix: aws.String(f.stack() + "-"),
	}), func(page *cloudwatch.DescribeAlarmsOutput) []watchtypes.MetricAlarm { return page.MetricAlarms })
	all := []Alarm{}
	for _, a := range found {
		all = append(all, Alarm{
			Name: aws.ToString(a.AlarmName), State: string(a.StateValue), Meaning: aws.ToString(a.AlarmDescription),
			Since: aws.ToTime(a.StateTransitionedTimestamp).UTC(),
		})
	}
	return all, err
}

// Traffic counts requests. The names of its JSON are stable.
type Traffic struct {
	From time.Time `json:"from"`
	// To is when the last counted line was logged if there were too many, else when the log was read.
	To time.Time `json:"to"`
	// Complete is whether there were not too many.
	Complete bool `json:"complete"`
	// Requests were let in. Failures are those of them that the proxy answered itself because their
	// destination did not do what it should.
	Requests int `json:"requests"`
	Failures int `json:"failures"`
	// Refused are not among the requests.
	Refused int `json:"refused"`
}

// mostCounted bounds the lines that Traffic reads: some dozens of calls.
const mostCounted = 100_000

var errEnough = errors.New("enough")

// Traffic counts the requests since a time, the first 100,000 lines of them.
func (f *Connection) Traffic(ctx context.Context, from time.Time) (*Traffic, error) {
	t, lines, last := &Traffic{From: from.UTC(), To: f.now().UTC(), Complete: true}, 0, from
	query := LogQuery{From: t.From, To: t.To, Statuses: []Status{{200, 599}}}
	err := f.Logs(ctx, query, nil, func(e Event) error {
		if lines++; lines > mostCounted {
			t.To, t.Complete = last.UTC(), false
			return errEnough
		}
		last = later(last, e.Logged)
		t.add(e)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return t, nil
}

func (t *Traffic) add(e Event) {
	switch {
	case e.Line == nil: // a line that counts refusals that have none
		var more struct{ Suppressed int }
		if json.Unmarshal([]byte(e.Message), &more) == nil {
			t.Refused += more.Suppressed
		}
	case e.Status == 403 || e.Status == 407 || e.Status == 429:
		t.Refused++
	default:
		t.Requests++
		if e.Status >= 502 && e.Status <= 504 && e.Error != "-" {
			t.Failures++
		}
	}
}

// Image is what the task definition of the addresses says of their image.
type Image struct {
	// Registered is when the task definition was registered.
	Registered time.Time
	// Base is the image that it was built from, "" if that is not said.
	Base string
	// Architecture is as registries name it.
	Architecture string
}

// Image returns what is known of the addresses' image.
func (f *Connection) Image(ctx context.Context) (Image, error) {
	_, task, err := f.definition(ctx)
	if err != nil {
		return Image{}, err
	}
	image := Image{Registered: aws.ToTime(task.RegisteredAt).UTC(), Architecture: "amd64"}
	for _, c := range task.ContainerDefinitions {
		image.Base = c.DockerLabels[params.BaseLabel]
	}
	if p := task.RuntimePlatform; p != nil && p.CpuArchitecture == types.CPUArchitectureArm64 {
		image.Architecture = "arm64"
	}
	return image, nil
}

// definition returns the addresses without their tasks, and the task definition of all of them.
func (f *Connection) definition(ctx context.Context) ([]Address, *types.TaskDefinition, error) {
	all, err := f.bare(ctx)
	if err != nil {
		return nil, nil, err
	}
	answer, err := f.ecs.DescribeTaskDefinition(ctx,
		&ecs.DescribeTaskDefinitionInput{TaskDefinition: all[0].service.TaskDefinition})
	if err != nil {
		return nil, nil, err
	}
	return all, answer.TaskDefinition, nil
}
