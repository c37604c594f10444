package stacks

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
	"squidfleet/proxyimage/container"
)

const (
	containerName = "proxy"
	runVolume     = "run"
	// descriptors bounds the open files and connections of the container; it is Fargate's default, said here so that it cannot change unseen.
	descriptors = 65535
	// logBuffer holds log lines while CloudWatch Logs does not take them: some 25,000. Beyond it lines are lost, instead of the proxy standing still.
	logBuffer = "10m"
)

// newTask describes one proxy. It is made of CloudFormation's own resource, because the CDK's construct always adds a role for the program in the container, which
// here must not have one: a client that tricked the proxy into fetching the task's credentials would find none.
func newTask(stack awscdk.Stack, p *params.Params, image awsecrassets.DockerImageAsset, log awslogs.CfnLogGroup, role awsiam.Role, secrets []handed) awsecs.CfnTaskDefinition {
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
			PortMappings: &[]*awsecs.CfnTaskDefinition_PortMappingProperty{{
				ContainerPort: jsii.Number(p.ListenerPort),
				Protocol:      jsii.String("tcp"),
			}},
			Environment: environment(p),
			Secrets:     secretsOf(secrets),

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
			// The entrypoint's package comment says what it does with the time.
			StopTimeout: jsii.Number(container.StopTimeout.Seconds()),
			// A proxy that hangs is replaced; the load balancer alone would only stop sending to it. Squid answers within a second of its start.
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

// environment is what the entrypoint reads; its package comment is the reference. There is no password in it.
func environment(p *params.Params) *[]*awsecs.CfnTaskDefinition_KeyValuePairProperty {
	pair := func(name, value string) *awsecs.CfnTaskDefinition_KeyValuePairProperty {
		return &awsecs.CfnTaskDefinition_KeyValuePairProperty{Name: jsii.String(name), Value: jsii.String(value)}
	}
	digest := pair(container.EnvDigest, string(p.Digest))
	if p.Credentials == params.CredentialsImage {
		return &[]*awsecs.CfnTaskDefinition_KeyValuePairProperty{digest, pair(container.EnvCredentials, container.CredentialsImage)}
	}
	return &[]*awsecs.CfnTaskDefinition_KeyValuePairProperty{
		digest,
		pair(container.EnvCredentials, container.CredentialsSecretsManager),
		pair(container.EnvRealm, p.Realm),
		pair(container.EnvUsers, strings.Join(p.Users, ",")),
	}
}

// secretsOf has ECS put each secret into the environment of the entrypoint, when the task starts.
func secretsOf(secrets []handed) *[]*awsecs.CfnTaskDefinition_SecretProperty {
	if len(secrets) == 0 {
		return nil
	}
	var all []*awsecs.CfnTaskDefinition_SecretProperty
	for _, s := range secrets {
		all = append(all, &awsecs.CfnTaskDefinition_SecretProperty{
			Name:      jsii.String(s.variable),
			ValueFrom: s.secret.SecretArn(),
		})
	}
	return &all
}
