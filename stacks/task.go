package stacks

import (
	"fmt"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
	"squidfleet/proxyimage"
	"squidfleet/proxyimage/container"
)

const (
	containerName = "proxy"
	runVolume     = "run"
	// descriptors bounds the open files and connections of the container. It is Fargate's
	// default, written down so that it cannot change unseen.
	descriptors = 65535
	// logBuffer holds some 25,000 log lines while CloudWatch Logs takes none. Further lines are
	// lost, so that the proxy never waits for its log.
	logBuffer = "10m"
)

// newTask describes one proxy. It uses CloudFormation's own resource, because the CDK's construct
// always adds a role for the program in the container. Without one, a client that tricks the
// proxy into fetching the task's credentials finds none.
func newTask(stack awscdk.Stack, p *params.Params, image awsecrassets.DockerImageAsset, log awslogs.CfnLogGroup,
	role awsiam.Role, secrets []secret) awsecs.CfnTaskDefinition {
	architecture := "X86_64"
	if p.Architecture == params.ARM64 {
		architecture = "ARM64"
	}
	return awsecs.NewCfnTaskDefinition(stack, jsii.String("Task"), &awsecs.CfnTaskDefinitionProps{
		RequiresCompatibilities: jsii.Strings("FARGATE"),
		NetworkMode:             jsii.String("awsvpc"),
		Cpu:                     jsii.String(strconv.Itoa(p.CPU)),
		Memory:                  jsii.String(strconv.Itoa(p.Memory)),
		RuntimePlatform: &awsecs.CfnTaskDefinition_RuntimePlatformProperty{
			OperatingSystemFamily: jsii.String("LINUX"),
			CpuArchitecture:       jsii.String(architecture),
		},
		ExecutionRoleArn: role.RoleArn(),
		// The task's own, encrypted disk; it dies with the task.
		Volumes: &[]*awsecs.CfnTaskDefinition_VolumeProperty{{Name: jsii.String(runVolume)}},
		ContainerDefinitions: &[]*awsecs.CfnTaskDefinition_ContainerDefinitionProperty{{
			Name:      jsii.String(containerName),
			Image:     image.ImageUri(),
			Essential: jsii.Bool(true),
			// Without a name nothing in the image tells its base: no layer of it is left.
			DockerLabels: map[string]*string{params.BaseLabel: jsii.String(proxyimage.Base())},
			PortMappings: &[]*awsecs.CfnTaskDefinition_PortMappingProperty{{
				ContainerPort: jsii.Number(p.ListenerPort),
				Protocol:      jsii.String("tcp"),
			}},
			// No secret is in it.
			Environment: properties(proxyimage.Settings(p),
				func(s proxyimage.Setting) *awsecs.CfnTaskDefinition_KeyValuePairProperty {
					return &awsecs.CfnTaskDefinition_KeyValuePairProperty{
						Name: jsii.String(s.Name), Value: jsii.String(s.Value),
					}
				}),
			// ECS puts each into the entrypoint's environment when the task starts.
			Secrets: properties(secrets, func(s secret) *awsecs.CfnTaskDefinition_SecretProperty {
				return &awsecs.CfnTaskDefinition_SecretProperty{
					Name: jsii.String(s.Name), ValueFrom: s.stored.SecretArn(),
				}
			}),

			User:                   jsii.String(fmt.Sprintf("%d:%d", container.UID, container.GID)),
			ReadonlyRootFilesystem: jsii.Bool(true),
			MountPoints: &[]*awsecs.CfnTaskDefinition_MountPointProperty{{
				SourceVolume:  jsii.String(runVolume),
				ContainerPath: jsii.String(container.RunDir),
				ReadOnly:      jsii.Bool(false),
			}},
			LinuxParameters: &awsecs.CfnTaskDefinition_LinuxParametersProperty{
				Capabilities: &awsecs.CfnTaskDefinition_KernelCapabilitiesProperty{Drop: jsii.Strings("ALL")},
			},
			Ulimits: &[]*awsecs.CfnTaskDefinition_UlimitProperty{{
				Name:      jsii.String("nofile"),
				SoftLimit: jsii.Number(descriptors),
				HardLimit: jsii.Number(descriptors),
			}},
			// The entrypoint's package comment says how it uses the time.
			StopTimeout: jsii.Number(container.StopTimeout.Seconds()),
			// ECS replaces a proxy that hangs; the load balancer alone only stops sending to it.
			// Squid answers within a second of its start.
			HealthCheck: &awsecs.CfnTaskDefinition_HealthCheckProperty{
				Command:     jsii.Strings("CMD", container.EntrypointPath, container.Health),
				Interval:    jsii.Number(10),
				Timeout:     jsii.Number(container.HealthTimeout.Seconds() + 2),
				Retries:     jsii.Number(3),
				StartPeriod: jsii.Number(15),
			},

			LogConfiguration: &awsecs.CfnTaskDefinition_LogConfigurationProperty{
				LogDriver: jsii.String("awslogs"),
				Options: map[string]*string{
					"awslogs-group":         log.Ref(),
					"awslogs-region":        stack.Region(),
					"awslogs-stream-prefix": jsii.String(containerName),
					"mode":                  jsii.String("non-blocking"),
					"max-buffer-size":       jsii.String(logBuffer),
				},
			},
		}},
	})
}

// properties makes a list of CloudFormation's of something, nil if there is nothing.
func properties[T, P any](all []T, property func(T) *P) *[]*P {
	if len(all) == 0 {
		return nil
	}
	var made []*P
	for _, one := range all {
		made = append(made, property(one))
	}
	return &made
}
