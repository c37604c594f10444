package stacks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"squidfleet/proxyimage/container"
)

var everyFleet = map[string]map[string]any{
	"default": nil, "full": full, "imported": imported(nil),
	"image": {"credentials": "image", "users": []any{"alice"}, "rotateEvery": "off", "spotShare": 100.0},
	"squid": {"digest": "squid", "fleetSize": 1.0}, "image and squid": {"credentials": "image", "digest": "squid", "fleetSize": 1.0},
}

func TestContainerIsHardened(t *testing.T) {
	for name, changes := range everyFleet {
		t.Run(name, func(t *testing.T) {
			c := synth(t, changes).proxy.container(t)
			equal(t, "user", c["User"], `"10001:10001"`)
			equal(t, "read-only root", c["ReadonlyRootFilesystem"], `true`)
			equal(t, "capabilities", c["LinuxParameters"], `{"Capabilities": {"Drop": ["ALL"]}}`)
			equal(t, "privileged", c["Privileged"], `null`)
			equal(t, "mounts", c["MountPoints"], `[{"ContainerPath": "/srv/squidfleet/run", "ReadOnly": false, "SourceVolume": "run"}]`)
			equal(t, "limits", c["Ulimits"], `[{"Name": "nofile", "SoftLimit": 65535, "HardLimit": 65535}]`)
			equal(t, "stop timeout", c["StopTimeout"], `120`)
			equal(t, "health check", c["HealthCheck"], `{"Command": ["CMD", "/srv/squidfleet/entrypoint", "health"], "Interval": 10, "Timeout": 5, "Retries": 3, "StartPeriod": 15}`)
			equal(t, "essential", c["Essential"], `true`)
			for _, override := range []string{"Command", "EntryPoint", "WorkingDirectory"} {
				equal(t, override, c[override], `null`)
			}
		})
	}
}

func TestTaskRunsOnFargateAsTheParametersSay(t *testing.T) {
	for name, want := range map[string]string{
		"default": `{"RequiresCompatibilities": ["FARGATE"], "NetworkMode": "awsvpc", "Cpu": "256", "Memory": "512", "Volumes": [{"Name": "run"}],
			"RuntimePlatform": {"OperatingSystemFamily": "LINUX", "CpuArchitecture": "X86_64"}}`,
		"full": `{"RequiresCompatibilities": ["FARGATE"], "NetworkMode": "awsvpc", "Cpu": "1024", "Memory": "4096", "Volumes": [{"Name": "run"}],
			"RuntimePlatform": {"OperatingSystemFamily": "LINUX", "CpuArchitecture": "ARM64"}}`,
	} {
		_, task := synth(t, everyFleet[name]).proxy.only(t, "AWS::ECS::TaskDefinition")
		equal(t, name, without(task, "ContainerDefinitions", "ExecutionRoleArn"), want)
	}
}

func TestTasksHaveNoRole(t *testing.T) {
	for name, changes := range everyFleet {
		t.Run(name, func(t *testing.T) {
			a := synth(t, changes)
			_, task := a.proxy.only(t, "AWS::ECS::TaskDefinition")
			if role, has := task["TaskRoleArn"]; has {
				t.Errorf("the program in the container has the role %v", role)
			}
			roles := 2 // execution, rotation
			if a.params.RotateEvery == 0 {
				roles = 1
			}
			if ids := a.proxy.ids("AWS::IAM::Role"); len(ids) != roles {
				t.Errorf("roles %v, want %d", ids, roles)
			}
			if ids := slices.Concat(a.proxy.ids("AWS::IAM::Policy"), a.proxy.ids("AWS::IAM::ManagedPolicy")); len(ids) != 0 {
				t.Errorf("policies beside the roles: %v", ids)
			}
		})
	}
}

func TestEnvironmentIsWhatTheEntrypointReads(t *testing.T) {
	for name, want := range map[string]string{
		"default": `[{"Name": "SQUIDFLEET_DIGEST", "Value": "fleet"}, {"Name": "SQUIDFLEET_CREDENTIALS", "Value": "secretsmanager"}, {"Name": "SQUIDFLEET_REALM", "Value": "squidfleet"}, {"Name": "SQUIDFLEET_USERS", "Value": "proxy"}]`,
		"full":    `[{"Name": "SQUIDFLEET_DIGEST", "Value": "fleet"}, {"Name": "SQUIDFLEET_CREDENTIALS", "Value": "secretsmanager"}, {"Name": "SQUIDFLEET_REALM", "Value": "the realm"}, {"Name": "SQUIDFLEET_USERS", "Value": "alice,b.o-b,bo_b"}]`,
		"image":   `[{"Name": "SQUIDFLEET_DIGEST", "Value": "fleet"}, {"Name": "SQUIDFLEET_CREDENTIALS", "Value": "image"}]`,
		"squid":   `[{"Name": "SQUIDFLEET_DIGEST", "Value": "squid"}, {"Name": "SQUIDFLEET_CREDENTIALS", "Value": "secretsmanager"}, {"Name": "SQUIDFLEET_REALM", "Value": "squidfleet"}, {"Name": "SQUIDFLEET_USERS", "Value": "proxy"}]`,
	} {
		equal(t, name, synth(t, everyFleet[name]).proxy.container(t)["Environment"], want)
	}
}

// The image's own entrypoint judges the environment that the task gives it; a program that does nothing stands in for Squid.
func TestEntrypointAcceptsTheTasksEnvironment(t *testing.T) {
	for _, name := range []string{"default", "image", "squid"} {
		t.Run(name, func(t *testing.T) {
			a := synth(t, everyFleet[name])
			dir := filepath.Join(t.TempDir(), "container")
			if err := os.CopyFS(dir, os.DirFS(a.image)); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, container.Run), 0o755); err != nil {
				t.Fatal(err)
			}
			c := a.proxy.container(t)
			environment := []string{container.EnvDir + "=" + dir, container.EnvSquid + "=/bin/true", container.EnvEgressURL + "=" + container.EgressOff,
				// What ECS adds by itself.
				"ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/0123456789abcdef", "AWS_EXECUTION_ENV=AWS_ECS_FARGATE", "AWS_REGION=eu-central-1"}
			for _, entry := range c["Environment"].([]any) {
				pair := entry.(map[string]any)
				environment = append(environment, pair["Name"].(string)+"="+pair["Value"].(string))
			}
			secrets, _ := c["Secrets"].([]any)
			for _, entry := range secrets {
				environment = append(environment, entry.(map[string]any)["Name"].(string)+"="+plaintext+"-and-long-enough-for-a-key")
			}
			run := func(environment []string) int {
				command := exec.Command(filepath.Join(dir, container.Entrypoint))
				command.Env = environment
				output, err := command.CombinedOutput()
				if command.ProcessState == nil {
					t.Fatal(err)
				}
				t.Logf("%s", output)
				return command.ProcessState.ExitCode()
			}
			const usage = 2
			if code := run(environment); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if err := os.RemoveAll(filepath.Join(dir, container.Run, "keys")); err != nil { // which the last start wrote
				t.Fatal(err)
			}
			if code := run(environment[:len(environment)-1]); code != usage {
				t.Errorf("exit code %d without the last variable, want %d", code, usage)
			}
		})
	}
}

func TestTasksLogWithoutEverWaitingForTheLog(t *testing.T) {
	proxy := synth(t).proxy
	group, _ := proxy.only(t, "AWS::Logs::LogGroup")
	equal(t, "log configuration", proxy.container(t)["LogConfiguration"], `{"LogDriver": "awslogs", "Options": {
		"awslogs-group": {"Ref": "`+group+`"}, "awslogs-region": {"Ref": "AWS::Region"}, "awslogs-stream-prefix": "proxy",
		"mode": "non-blocking", "max-buffer-size": "10m"}}`)
}

func TestLogGoesWithTheStackAndKeepsItsDays(t *testing.T) {
	for days, changes := range map[float64]map[string]any{30: nil, 7: full} {
		proxy := synth(t, changes).proxy
		id, group := proxy.only(t, "AWS::Logs::LogGroup")
		if group["RetentionInDays"] != days {
			t.Errorf("kept for %v days, want %v", group["RetentionInDays"], days)
		}
		if policy := proxy.Resources[id].DeletionPolicy; policy != "Delete" {
			t.Errorf("deletion policy %q", policy)
		}
	}
}

func TestContainerDockerfileAndServiceAgree(t *testing.T) {
	for name, changes := range everyFleet {
		t.Run(name, func(t *testing.T) {
			a := synth(t, changes)
			c := a.proxy.container(t)
			dockerfile := a.file(t, "Dockerfile")
			final := dockerfile[strings.LastIndex(dockerfile, "\nFROM "):]
			for instruction, want := range map[string]any{
				"USER":       c["User"],
				"VOLUME":     c["MountPoints"].([]any)[0].(map[string]any)["ContainerPath"],
				"WORKDIR":    container.Dir,
				"ENTRYPOINT": fmt.Sprintf("[%q]", container.EntrypointPath),
			} {
				found := regexp.MustCompile(`(?m)^`+instruction+` (.*)$`).FindAllStringSubmatch(final, -1)
				if len(found) != 1 || found[0][1] != want {
					t.Errorf("the Dockerfile's %s is %q, the task needs %q", instruction, found, want)
				}
			}

			port := fmt.Sprint(a.params.ListenerPort)
			equal(t, "the container's port", c["PortMappings"], `[{"ContainerPort": `+port+`, "Protocol": "tcp"}]`)
			if !strings.Contains(a.file(t, "squid.conf"), "\nhttp_port "+port+" ") {
				t.Error("squid.conf listens on another port")
			}
			group, _ := a.proxy.only(t, "AWS::ElasticLoadBalancingV2::TargetGroup")
			_, service := a.proxy.only(t, "AWS::ECS::Service")
			equal(t, "the service's load balancer", service["LoadBalancers"],
				fmt.Sprintf(`[{"ContainerName": %q, "ContainerPort": %s, "TargetGroupArn": {"Ref": %q}}]`, c["Name"], port, group))
		})
	}
}
