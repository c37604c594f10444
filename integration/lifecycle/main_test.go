// Package lifecycle has the CDK's real command line bootstrap, deploy, compare, update and destroy
// the fleet, with the image built and pushed, against a stand-in for AWS's API on loopback. It
// shows that app, assembly and CLI work with each other, not that AWS would run the result. It
// needs root, podman and a Debian mirror, as the tests of the image do.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/cfnspec"
	"squidfleet/internal/engine"
	"squidfleet/internal/must"
	"squidfleet/proxyimage"
)

// aws is what the CLI talks to, and containers has the store in which it builds.
var (
	aws        *Server
	containers *engine.Engine
	// work holds what a run leaves: the CLI's home, its assemblies and the script that it takes
	// for docker.
	work string
	root string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration/lifecycle:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if root, err = filepath.Abs("../.."); err != nil {
		return 1, err
	}
	spec, err := cfnspec.Load(root)
	if err != nil {
		return 1, err
	}
	// Not below TMPDIR, which may be a file system in memory that cannot hold an overlay.
	if work, err = os.MkdirTemp("/var/tmp", "squidfleet-lifecycle-"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	aws = Start(spec)
	defer aws.Close()
	store := filepath.Join(work, "store")
	for _, directory := range []string{store, filepath.Join(work, "home"), filepath.Join(work, "tmp")} {
		if err := os.Mkdir(directory, 0o700); err != nil {
			return 1, err
		}
	}
	if containers, err = engine.New(store); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, containers.Close()) }()
	base, err := containers.PrepareBase(context.Background(), proxyimage.Base())
	if err != nil {
		return 1, err
	}
	if err := writeDocker(base); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// docker is the program that the CLI builds and pushes with: podman with its own store. The base
// image is in it already, and the registry speaks plain HTTP.
func docker() string { return filepath.Join(work, "docker") }

func writeDocker(base string) error {
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
	program, variables := containers.Command()
	script := "#!/bin/sh\necho \"$*\" >>" + quoted(dockerLog()) + "\n"
	variables = append(slices.Clone(variables), "REGISTRY_AUTH_FILE="+filepath.Join(work, "auth.json"))
	// The CLI runs without this process's environment, and a build needs its proxies.
	for _, variable := range append(os.Environ(), variables...) {
		name, value, _ := strings.Cut(variable, "=")
		if slices.Contains(variables, variable) || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			script += "export " + name + "=" + quoted(value) + "\n"
		}
	}
	script += fmt.Sprintf(`podman=%s
command=$1
shift
case $command in
build) exec "$podman" build --network=host --pull=never --from=%s "$@" ;;
login | push) exec "$podman" "$command" --tls-verify=false "$@" ;;
*) exec "$podman" "$command" "$@" ;;
esac
`, quoted(program), quoted(base))
	return os.WriteFile(docker(), []byte(script), 0o700)
}

// dockerLog has a line for every call of the container engine.
func dockerLog() string { return filepath.Join(work, "docker.log") }

type result struct {
	code   int
	output string // stdout and stderr, as they came
}

// cdkTimeout bounds one run of the CLI, with room for the first, which compiles the app, and for
// the one that builds the image, on a busy machine.
const cdkTimeout = 15 * time.Minute

// cdk runs the CLI in the project's directory. It sees nothing of the machine's user but the
// caches of Go and of the CDK's Go bindings.
func cdk(t *testing.T, arguments ...string) result {
	t.Helper()
	cache, err := os.UserCacheDir()
	must.OK(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), cdkTimeout)
	defer cancel()
	bin := filepath.Join(root, "node_modules/.bin")
	command := exec.CommandContext(ctx, filepath.Join(bin, "cdk"), append(arguments, "--no-notices", "--no-color")...)
	command.Dir = root
	command.Env = append(aws.Environment(filepath.Join(work, "home")),
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "TMPDIR="+filepath.Join(work, "tmp"),
		"CDK_DOCKER="+docker(), "CDK_DISABLE_CLI_TELEMETRY=true", "CDK_DISABLE_VERSION_CHECK=true",
		"JSII_RUNTIME_PACKAGE_CACHE_ROOT="+filepath.Join(cache, "aws", "jsii", "package-cache"),
		// Everything the app is made of has been fetched by now.
		"GOPROXY=off")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOTOOLCHAIN"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		command.Env = append(command.Env, name+"="+strings.TrimSpace(string(value)))
	}
	// The CLI starts the app and the container engine: all of them end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = 10 * time.Second
	started := time.Now()
	output, err := command.CombinedOutput()
	t.Logf("cdk %s: %.1f s", strings.Join(arguments, " "), time.Since(started).Seconds())
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("cdk %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return result{command.ProcessState.ExitCode(), string(output)}
}
