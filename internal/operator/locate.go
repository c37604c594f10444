package operator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

// Outputs of the stack, by the ids that its templates give them.
const (
	outputEndpoint         = "Endpoint"
	outputTryIt            = "TryIt"
	outputLogGroup         = "LogGroup"
	outputClusterName      = "ClusterName"
	outputServiceName      = "ServiceName"
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
	for _, id := range []string{outputEndpoint, outputLogGroup, outputClusterName, outputServiceName} {
		if f.outputs[id] == "" {
			return fmt.Errorf("stack %s in %s, which is %s, has no output %s: it is not deployed completely, or not "+
				"by this version of squidfleet", f.stack(), f.Region, answer.Stacks[0].StackStatus, id)
		}
	}
	f.cluster, f.service = f.outputs[outputClusterName], f.outputs[outputServiceName]
	return nil
}

// describeService asks ECS for the service as it is now.
func (f *Connection) describeService(ctx context.Context) (types.Service, error) {
	answer, err := f.ecs.DescribeServices(ctx,
		&ecs.DescribeServicesInput{Cluster: aws.String(f.cluster), Services: []string{f.service}})
	if err != nil {
		return types.Service{}, err
	}
	if len(answer.Services) != 1 || aws.ToString(answer.Services[0].Status) != "ACTIVE" {
		return types.Service{}, fmt.Errorf("ECS service %s of stack %s is gone: deploy the fleet again", f.service,
			f.stack())
	}
	return answer.Services[0], nil
}
