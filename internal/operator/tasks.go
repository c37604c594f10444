package operator

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Task is one proxy with its egress address. The names of its JSON are stable.
type Task struct {
	// Address is the public address that connections leave from; not valid ("") until it has one.
	Address netip.Addr `json:"address"`
	// PrivateAddress is where the load balancer reaches it.
	PrivateAddress netip.Addr `json:"privateAddress"`
	// Zone is its availability zone.
	Zone string `json:"zone"`
	// ID is the last part of the task's ARN.
	ID string `json:"task"`
	// State is ECS's, such as RUNNING.
	State string `json:"state"`
	// Health is whether clients are sent to the task.
	Health Health `json:"health"`
	// Spot is whether AWS may take it back with two minutes' notice.
	Spot bool `json:"spot"`
	// StartedAt is when its container started; absent until then.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// AgeSeconds counts from StartedAt.
	AgeSeconds int64 `json:"ageSeconds"`

	arn string
}

// Health puts together what the load balancer and the container's own health check say.
type Health string

const (
	// Healthy: the load balancer sends connections to it.
	Healthy Health = "healthy"
	// Starting: not yet checked.
	Starting Health = "starting"
	// Unhealthy: one of the checks fails.
	Unhealthy Health = "unhealthy"
	// Draining: it only serves the connections that it has, and ends.
	Draining Health = "draining"
)

// How many tasks ECS takes in one call, and how many values EC2 takes in one filter.
const (
	describeTasksMax = 100
	filterValues     = 200
)

// Address is one of the fleet's egress addresses: an ECS service of one task. The names of its JSON
// are stable.
type Address struct {
	// Number tells it from the others. It stays the same when the address behind it changes.
	Number int `json:"number"`
	// Port always leads to this address; 0 (absent) with addressPorts=false.
	Port int `json:"port,omitempty"`
	// Stopped is whether it is to have no task. Rotations leave it alone.
	Stopped bool `json:"stopped"`
	// NextRotation is when the schedule rotates it; absent if it does not.
	NextRotation time.Time `json:"nextRotation,omitzero"`
	// Tasks are those that have not ended, oldest first: two during a rotation.
	Tasks []Task `json:"tasks"`

	service types.Service
}

// Addresses lists the egress addresses by their numbers.
func (f *Connection) Addresses(ctx context.Context) ([]Address, error) {
	all, err := f.bare(ctx)
	if err != nil {
		return nil, err
	}
	described, err := f.describeTasks(ctx)
	if err != nil {
		return nil, err
	}
	// Each task is a target of the common group, on the same port as in its own one.
	targets, err := f.targets(ctx, all[0].service)
	if err != nil {
		return nil, err
	}
	public, err := f.publicAddresses(ctx, described)
	if err != nil {
		return nil, err
	}
	byService := map[string][]Task{}
	for _, t := range described {
		group := aws.ToString(t.Group)
		private := attachment(t, "privateIPv4Address")
		byService[group] = append(byService[group],
			newTask(t, public[attachment(t, "networkInterfaceId")], private, targets[private]))
	}
	for i := range all {
		tasks := byService["service:"+aws.ToString(all[i].service.ServiceName)]
		slices.SortFunc(tasks, func(a, b Task) int {
			if a.StartedAt.IsZero() != b.StartedAt.IsZero() { // Those not started yet come last.
				return b.StartedAt.Compare(a.StartedAt)
			}
			return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
		})
		all[i].Tasks = append(all[i].Tasks, tasks...)
	}
	return all, nil
}

func newTask(t types.Task, public netip.Addr, private string, target elbtypes.TargetHealthStateEnum) Task {
	arn := aws.ToString(t.TaskArn)
	task := Task{
		Address: public, Zone: aws.ToString(t.AvailabilityZone), ID: arn[strings.LastIndexByte(arn, '/')+1:],
		State: aws.ToString(t.LastStatus), Health: health(t, target),
		Spot: aws.ToString(t.CapacityProviderName) == "FARGATE_SPOT",
		arn:  arn,
	}
	task.PrivateAddress, _ = netip.ParseAddr(private)
	if t.StartedAt != nil {
		task.StartedAt = t.StartedAt.UTC().Truncate(time.Second)
		task.AgeSeconds = int64(max(0, time.Since(*t.StartedAt)).Seconds())
	}
	return task
}

// describeTasks returns the cluster's tasks that have not ended. ECS lists a task that it is going
// to stop among the stopped ones from the beginning, although it serves on while it drains.
func (f *Connection) describeTasks(ctx context.Context) ([]types.Task, error) {
	var arns []string
	for _, status := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		some, err := Collect(ctx, ecs.NewListTasksPaginator(f.ecs, &ecs.ListTasksInput{
			Cluster: aws.String(f.cluster), DesiredStatus: status,
		}), func(page *ecs.ListTasksOutput) []string { return page.TaskArns })
		if err != nil {
			return nil, err
		}
		arns = append(arns, some...)
	}
	// One that changed sides between the lists is in both.
	slices.Sort(arns)
	arns = slices.Compact(arns)
	var tasks []types.Task
	for chunk := range slices.Chunk(arns, describeTasksMax) {
		// Failures are tasks that ECS has forgotten since it listed them.
		answer, err := f.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String(f.cluster), Tasks: chunk})
		if err != nil {
			return nil, err
		}
		for _, t := range answer.Tasks {
			if aws.ToString(t.LastStatus) != "STOPPED" {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks, nil
}

// publicAddresses returns the public IPv4 address of each network interface that has one. EC2
// leaves out those that are gone: a filter finds nothing, where a list of ids would be refused.
func (f *Connection) publicAddresses(ctx context.Context, tasks []types.Task) (map[string]netip.Addr, error) {
	var ids []string
	for _, t := range tasks {
		if id := attachment(t, "networkInterfaceId"); id != "" {
			ids = append(ids, id)
		}
	}
	found := map[string]netip.Addr{}
	for chunk := range slices.Chunk(ids, filterValues) {
		input := &ec2.DescribeNetworkInterfacesInput{
			Filters: []ec2types.Filter{{Name: aws.String("network-interface-id"), Values: chunk}},
		}
		interfaces, err := Collect(ctx, ec2.NewDescribeNetworkInterfacesPaginator(f.ec2, input),
			func(page *ec2.DescribeNetworkInterfacesOutput) []ec2types.NetworkInterface {
				return page.NetworkInterfaces
			})
		if err != nil {
			return nil, err
		}
		for _, i := range interfaces {
			if i.Association == nil {
				continue
			}
			if address, err := netip.ParseAddr(aws.ToString(i.Association.PublicIp)); err == nil {
				found[aws.ToString(i.NetworkInterfaceId)] = address
			}
		}
	}
	return found, nil
}

type targetStates map[string]elbtypes.TargetHealthStateEnum

// targets returns the states of the targets of a service's first group, by their private addresses.
func (f *Connection) targets(ctx context.Context, service types.Service) (targetStates, error) {
	states := targetStates{}
	if len(service.LoadBalancers) == 0 {
		return states, nil
	}
	answer, err := f.loadBalancing.DescribeTargetHealth(ctx, &elasticloadbalancingv2.DescribeTargetHealthInput{
		TargetGroupArn: service.LoadBalancers[0].TargetGroupArn,
	})
	if err != nil {
		return nil, err
	}
	for _, d := range answer.TargetHealthDescriptions {
		if d.Target != nil && d.TargetHealth != nil {
			states[aws.ToString(d.Target.Id)] = d.TargetHealth.State
		}
	}
	return states, nil
}

// attachment is a detail of the task's network interface.
func attachment(t types.Task, name string) string {
	for _, a := range t.Attachments {
		if aws.ToString(a.Type) != "ElasticNetworkInterface" {
			continue
		}
		for _, detail := range a.Details {
			if aws.ToString(detail.Name) == name {
				return aws.ToString(detail.Value)
			}
		}
	}
	return ""
}

func health(t types.Task, target elbtypes.TargetHealthStateEnum) Health {
	switch {
	case aws.ToString(t.DesiredStatus) == string(types.DesiredStatusStopped),
		target == elbtypes.TargetHealthStateEnumDraining:
		return Draining
	case t.HealthStatus == types.HealthStatusUnhealthy, target == elbtypes.TargetHealthStateEnumUnhealthy,
		target == elbtypes.TargetHealthStateEnumUnhealthyDraining:
		return Unhealthy
	case target == elbtypes.TargetHealthStateEnumHealthy:
		return Healthy
	}
	return Starting
}
