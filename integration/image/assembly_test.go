package image

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/check"
	"squidfleet/internal/engine"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

const root = "../.."

func assembly(store, mode string) string { return filepath.Join(store, "assembly-"+mode) }

// synth has the CDK's command line write the assembly of each mode.
func synth(store string) error {
	path, err := cdkcontext.NodePath()
	if err != nil {
		return err
	}
	for mode, changes := range contexts {
		// The image must not depend on a strict umask, although the CDK's copy of the build context
		// does.
		arguments := []string{"-c", `umask 077; exec "$0" "$@"`, "cdk", "synth", "--quiet", "--output",
			assembly(store, mode), "-c", "architecture=" + architecture}
		for key, value := range changes {
			arguments = append(arguments, "-c", fmt.Sprintf("%s=%v", key, value))
		}
		command := exec.Command("sh", arguments...)
		command.Dir = root
		command.Env = append(os.Environ(), "PATH="+path, "CDK_DISABLE_CLI_TELEMETRY=true",
			"AWS_EC2_METADATA_DISABLED=true")
		if mode == inImage {
			for user, password := range passwords {
				command.Env = append(command.Env, squid.PasswordVariable(user)+"="+password)
			}
		}
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("synth, credentials=%s: %w\n%s", mode, err, output)
		}
	}
	return nil
}

// architecture is this machine's, which may not run programs of another.
var architecture = map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]

// taskDefinition is the part of the synthesised task definition that says how the container runs.
type taskDefinition struct {
	Cpu, Memory          string
	ContainerDefinitions []struct {
		User                   string
		ReadonlyRootFilesystem bool
		LinuxParameters        struct {
			Capabilities struct{ Drop []string }
		}
		Ulimits []struct {
			Name                 string
			SoftLimit, HardLimit uint64
		}
		StopTimeout  int
		Environment  []struct{ Name, Value string }
		Secrets      []struct{ Name string }
		HealthCheck  struct{ Command []string }
		PortMappings []struct{ ContainerPort uint16 }
	}
}

// published is the part of an assembly that the tests use.
type published struct {
	context string
	task    taskDefinition
}

func load(store, mode string) (published, error) {
	loaded, findings := check.Read(os.DirFS(assembly(store, mode)), nil)
	if len(findings) > 0 {
		return published{}, fmt.Errorf("the assembly of credentials=%s: %v", mode, findings)
	}
	tasks := loaded.Properties("AWS::ECS::TaskDefinition")
	if len(tasks) != 1 {
		return published{}, fmt.Errorf("the assembly of credentials=%s has %d task definitions", mode, len(tasks))
	}
	text, err := json.Marshal(tasks[0])
	if err != nil {
		return published{}, err
	}
	fleet := published{context: filepath.Join(assembly(store, mode), loaded.ImageDirectory())}
	return fleet, json.Unmarshal(text, &fleet.task)
}

// options make a container engine do what the task definition says and what Fargate adds.
func (d taskDefinition) options() ([]string, error) {
	c := d.ContainerDefinitions[0]
	options := []string{
		"--user=" + c.User,
		"--memory=" + d.Memory + "m",
		"--stop-timeout=" + strconv.Itoa(c.StopTimeout),
		"--read-only=" + strconv.FormatBool(c.ReadonlyRootFilesystem),
		// Only the mount points (volumes of the image) and /dev/shm are writable. Fargate has
		// /dev/shm like any engine.
		"--tmpfs=/dev/shm:rw,nosuid,nodev,noexec,mode=1777,size=64m",
		"--env=ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/0123456789abcdef",
		"--env=AWS_EXECUTION_ENV=AWS_ECS_FARGATE", "--env=AWS_REGION=eu-central-1",
		// The tests' network lacks the default URL's server.
		"--env=" + container.EnvEgressURL + "=" + container.EgressOff,
	}
	for _, capability := range c.LinuxParameters.Capabilities.Drop {
		options = append(options, "--cap-drop="+capability)
	}
	for _, limit := range c.Ulimits {
		if limit.Name != "nofile" || limit.SoftLimit != limit.HardLimit {
			return nil, fmt.Errorf("ulimit %+v: is not a single limit for nofile", limit)
		}
		permitted, err := engine.Ulimits(limit.HardLimit)
		if err != nil {
			return nil, err
		}
		for _, limit := range permitted {
			options = append(options, "--ulimit="+limit)
		}
	}
	for _, variable := range c.Environment {
		options = append(options, "--env="+variable.Name+"="+variable.Value)
	}
	values := map[string]string{container.EnvDigestKeys: rig.DigestKey}
	for user, password := range passwords {
		values[squid.PasswordVariable(user)] = password
	}
	for _, secret := range c.Secrets {
		value, known := values[secret.Name]
		if !known {
			return nil, fmt.Errorf("secret %s: is unknown to these tests", secret.Name)
		}
		options = append(options, "--env="+secret.Name+"="+value)
	}
	return options, nil
}
