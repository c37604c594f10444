package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"squidfleet/params"
)

// Outputs of the stack, by the ids that its templates give them.
const (
	outputEndpoint         = "Endpoint"
	outputScheme           = "Scheme"
	outputTryIt            = "TryIt"
	outputLogGroup         = "LogGroup"
	outputClusterName      = "ClusterName"
	outputRotateEvery      = "RotateEvery"
	outputRotationFailures = "RotationFailures"
)

func (f *Connection) stack() string { return f.Name + "-Proxy" }

// NotDeployed is the error of a fleet whose stack there is not.
type NotDeployed struct{ Stack, Region string }

func (n *NotDeployed) Error() string {
	return fmt.Sprintf("no stack %s in %s: name another with --stack-name, --region or --profile, or deploy it",
		n.Stack, n.Region)
}

// locate reads the stack's outputs.
func (f *Connection) locate(ctx context.Context, client *cloudformation.Client) error {
	answer, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(f.stack())})
	if err != nil {
		var refusal smithy.APIError
		// CloudFormation has no error code of its own for this.
		if errors.As(err, &refusal) && refusal.ErrorCode() == "ValidationError" &&
			strings.Contains(refusal.ErrorMessage(), "does not exist") {
			return &NotDeployed{f.stack(), f.Region}
		}
		return err
	}
	if len(answer.Stacks) != 1 {
		return fmt.Errorf("stack %s: CloudFormation described %d stacks", f.stack(), len(answer.Stacks))
	}
	f.outputs = map[string]string{}
	for _, output := range answer.Stacks[0].Outputs {
		f.outputs[aws.ToString(output.OutputKey)] = aws.ToString(output.OutputValue)
	}
	// A fleet whose ports allow neither http nor https has no TryIt, one that is never rotated no
	// RotationFailures.
	for _, id := range []string{outputEndpoint, outputLogGroup, outputClusterName, outputRotateEvery} {
		if f.outputs[id] == "" {
			return fmt.Errorf("stack %s in %s, which is %s, has no output %s: it is not deployed completely, or not "+
				"by this version of squidfleet", f.stack(), f.Region, answer.Stacks[0].StackStatus, id)
		}
	}
	f.cluster = f.outputs[outputClusterName]
	_, port, _ := net.SplitHostPort(f.outputs[outputEndpoint])
	if f.port, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("output %s of stack %s: %w", outputEndpoint, f.stack(), err)
	}
	every := f.outputs[outputRotateEvery]
	if f.rotateEvery, err = params.ParsePeriod(every); err != nil {
		return fmt.Errorf("output %s of stack %s: %q is no period", outputRotateEvery, f.stack(), every)
	}
	return nil
}

// How many services ECS lists on a page, and describes in one call.
const listServicesMax, describeServicesMax = 100, 10

// listServices returns the ARNs of the cluster's services. It asks once.
func (f *Connection) listServices(ctx context.Context) ([]string, error) {
	if f.services != nil {
		return f.services, nil
	}
	arns, err := Collect(ctx, ecs.NewListServicesPaginator(f.ecs, &ecs.ListServicesInput{
		Cluster: aws.String(f.cluster), MaxResults: aws.Int32(listServicesMax),
	}), func(page *ecs.ListServicesOutput) []string { return page.ServiceArns })
	f.services = arns
	return arns, err
}

// bare lists the addresses without their tasks, by their numbers.
func (f *Connection) bare(ctx context.Context) ([]Address, error) {
	arns, err := f.listServices(ctx)
	if err != nil {
		return nil, err
	}
	var all []Address
	for chunk := range slices.Chunk(arns, describeServicesMax) {
		answer, err := f.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{
			Cluster: aws.String(f.cluster), Services: chunk, Include: []types.ServiceField{types.ServiceFieldTags},
		})
		if err != nil {
			return nil, err
		}
		for _, s := range answer.Services {
			if number := addressNumber(s); number > 0 && aws.ToString(s.Status) == "ACTIVE" {
				all = append(all, f.address(number, s))
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("cluster %s of stack %s has no service with a tag %s: deploy the fleet again", f.cluster,
			f.stack(), params.AddressTag)
	}
	slices.SortFunc(all, func(a, b Address) int { return cmp.Compare(a.Number, b.Number) })
	return all, nil
}

// addressNumber is the number in a service's tag, or 0: somebody may run another service there.
func addressNumber(s types.Service) int {
	for _, tag := range s.Tags {
		if aws.ToString(tag.Key) == params.AddressTag {
			n, _ := strconv.Atoi(aws.ToString(tag.Value))
			return n
		}
	}
	return 0
}

func (f *Connection) address(number int, s types.Service) Address {
	a := Address{Number: number, Stopped: s.DesiredCount == 0, Tasks: []Task{}, service: s}
	if len(s.LoadBalancers) > 1 { // The first group is everybody's.
		a.Port = f.port + number
	}
	if f.rotateEvery > 0 && !a.Stopped {
		a.NextRotation = params.NextRotation(number, f.rotateEvery, time.Now())
	}
	return a
}
