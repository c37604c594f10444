package check

import (
	"fmt"
	"strings"

	"squidfleet/proxyimage/container"
)

// containerName is that of the task's one container, and begins the names of its log streams.
const containerName = "proxy"

func (f *fleet) secretsManager() bool { return f.Credentials == container.CredentialsSecretsManager }

// container returns the task's one container.
func (f *fleet) container() map[string]any {
	c, _ := at(f.task.properties, "ContainerDefinitions", 0).(map[string]any)
	return c
}

// checkTask: a hardened container without a role, which agrees with the image and the load balancer on user, port, directory and time to stop.
func (f *fleet) checkTask() {
	architecture := strings.ToUpper(string(f.Architecture))
	f.want(f.task, "task", "", object{
		"RequiresCompatibilities": list{"FARGATE"}, "NetworkMode": "awsvpc", "Cpu": f.CPU, "Memory": f.Memory,
		"RuntimePlatform": object{"OperatingSystemFamily": "LINUX", "CpuArchitecture": architecture},
		// Ephemeral: nothing but a name, so that the disk goes with the task.
		"Volumes": list{object{"Name": text}},
	})
	f.want(f.task, "role", "ECS prepares the task with it", object{"ExecutionRoleArn": f.executionRole.att("Arn")})
	if role, has := f.task.properties["TaskRoleArn"]; has {
		f.task.known["TaskRoleArn"] = true
		f.at(f.task, "task-role", "Properties.TaskRoleArn: is %s, want it left out: a client that tricked the proxy into fetching the task's credentials would find some", show(role))
	}
	c := object{
		"Name": containerName, "Essential": true, "Image": matcher(f.imageURI),
		"PortMappings": list{object{"ContainerPort": f.ListenerPort, "HostPort": optional{f.ListenerPort}, "Protocol": "tcp"}},
		"Environment":  f.environment(),

		"User":                   fmt.Sprintf("%d:%d", container.UID, container.GID),
		"ReadonlyRootFilesystem": true,
		"Privileged":             optional{false},
		"LinuxParameters":        object{"Capabilities": object{"Drop": list{"ALL"}}},
		"MountPoints":            list{object{"ContainerPath": container.RunDir, "ReadOnly": false, "SourceVolume": at(f.task.properties, "Volumes", 0, "Name")}},

		"Ulimits":          list{object{"Name": "nofile", "SoftLimit": 65535, "HardLimit": 65535}},
		"StopTimeout":      stopSeconds(),
		"LogConfiguration": f.logging(),
		"HealthCheck": object{
			"Command": list{"CMD", container.EntrypointPath, container.Health},
			// Longer than the check's own, whose message then tells the reason.
			"Timeout":  int(container.HealthTimeout.Seconds()) + 2,
			"Interval": 10, "Retries": 3, "StartPeriod": 15,
		},
	}
	if secrets := f.handedOver(); len(secrets) > 0 {
		want := map[string]any{}
		for variable, secret := range secrets {
			want[variable] = secret.ref()
		}
		c["Secrets"] = pairs("Name", "ValueFrom", want)
	}
	f.want(f.task, "container", "", object{"ContainerDefinitions": list{c}})
}

// logging sends the log to the fleet's group, and never makes the proxy wait for it.
func (f *fleet) logging() object {
	return object{"LogDriver": "awslogs", "Options": object{
		"awslogs-group": f.log.ref(), "awslogs-region": f.region(), "awslogs-stream-prefix": containerName, "mode": "non-blocking", "max-buffer-size": "10m",
	}}
}

func (f *fleet) region() string {
	return resolver{assembly: f.assembly, stack: f.proxy}.pseudo("AWS::Region")
}

// environment is what the entrypoint is told; no password is in it.
func (f *fleet) environment() set {
	want := map[string]any{container.EnvDigest: string(f.Digest), container.EnvCredentials: container.CredentialsImage}
	if f.secretsManager() {
		want[container.EnvCredentials] = container.CredentialsSecretsManager
		want[container.EnvRealm] = f.Realm
		want[container.EnvUsers] = strings.Join(f.Users, ",")
	}
	return pairs("Name", "Value", want)
}

// imageURI says what is wrong with the container's image: it has to be the one that the CDK CLI builds and pushes.
func (f *fleet) imageURI(got any) string {
	if len(f.proxy.Images) != 1 {
		return fmt.Sprintf("is %s, but the assembly builds %d images, want 1", show(got), len(f.proxy.Images))
	}
	image := f.proxy.Images[0]
	text, _ := got.(string)
	registry := f.sub("${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/")
	if want := registry + f.repository() + ":" + image.Tag; text != want {
		return fmt.Sprintf("is %s, want what the asset manifest publishes, %s", show(got), show(want))
	}
	return ""
}

// repository is where the image is pushed to, in canonical form.
func (f *fleet) repository() string {
	if len(f.proxy.Images) != 1 {
		return "(none)"
	}
	return f.sub(f.proxy.Images[0].Repository)
}

// sub resolves the placeholders of the CDK, which are those of Fn::Sub.
func (f *fleet) sub(template string) string {
	text, _ := resolver{assembly: f.assembly, stack: f.proxy, broken: func(string, ...any) {}}.function("Fn::Sub", template).(string)
	return text
}
