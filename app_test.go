package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/must"
)

// app is the built program.
var app string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "squidfleet-app-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	app = filepath.Join(dir, "app")
	if output, err := exec.Command("go", "build", "-o", app, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", output, err)
		return 1
	}
	return m.Run()
}

// environment returns this process's environment without what the app reads in it, and with the
// project's Node.js.
func environment(t *testing.T) []string {
	t.Helper()
	path, err := cdkcontext.NodePath()
	must.OK(t, err)
	rest := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "SQUIDFLEET_") || strings.HasPrefix(entry, "CDK_")
	})
	return append(rest, "PATH="+path, "CDK_DISABLE_CLI_TELEMETRY=true", "AWS_EC2_METADATA_DISABLED=true")
}

// appCommand returns the app as the CDK CLI runs it, and its stderr.
func appCommand(t *testing.T, outdir string, changes map[string]any, more ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	context, err := cdkcontext.Case{Changes: changes}.Context()
	must.OK(t, err)
	text, err := json.Marshal(context)
	must.OK(t, err)
	command, stderr := exec.Command(app), new(bytes.Buffer)
	command.Env = append(environment(t), "CDK_OUTDIR="+outdir, "CDK_CONTEXT_JSON="+string(text), "JSII_DEPRECATED=fail")
	command.Env = append(command.Env, more...)
	command.Stderr = stderr
	return command, stderr
}

// runApp runs the app. It writes nothing on stdout.
func runApp(t *testing.T, outdir string, changes map[string]any, more ...string) (code int, stderr string) {
	t.Helper()
	command, errors := appCommand(t, outdir, changes, more...)
	stdout, err := command.Output()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	if len(stdout) > 0 {
		t.Errorf("stdout %q", stdout)
	}
	return command.ProcessState.ExitCode(), errors.String()
}

// cdk runs the CDK CLI in the project's directory. It returns what the CLI prints, without npm's
// lines.
func cdk(t *testing.T, more []string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.Command("npx", append([]string{"--no-install", "cdk"}, arguments...)...)
	command.Env = append(environment(t), more...)
	output, err := command.CombinedOutput()
	return regexp.MustCompile(`(?m)^npm .*\n`).ReplaceAllString(string(output), ""), err
}

func TestErrorsAreToldOneALineAndTheLastAssemblyStays(t *testing.T) {
	noSuchVPC := map[string]any{
		"vpcId": cdkcontext.VPC,
		cdkcontext.VPCKey(cdkcontext.Region, cdkcontext.VPC): map[string]any{
			"$providerError": "Could not find any VPCs",
		},
	}
	account, region := "CDK_DEFAULT_ACCOUNT="+cdkcontext.Account, "CDK_DEFAULT_REGION="+cdkcontext.Region
	vpc := map[string]any{"vpcId": cdkcontext.VPC}
	file := filepath.Join(t.TempDir(), "file")
	must.OK(t, os.WriteFile(file, nil, 0o644))
	for _, c := range []struct {
		name    string
		changes map[string]any
		more    []string
		want    []string
	}{
		{"parameters", map[string]any{
			"clientCidrs": "192.5.6.0/24,10.0.0.0/33", "fleetSze": "3", "users": []any{"a:b"},
		}, nil, []string{`clientCidrs\[1\]: .*10\.0\.0\.0/33`, `users\[0\]: .*a:b`, `fleetSze: .*fleetSize`}},
		{"passwords", map[string]any{"credentials": "image", "users": "alice,bob"}, nil,
			[]string{`SQUIDFLEET_PASSWORD_ALICE: `, `SQUIDFLEET_PASSWORD_BOB: `}},
		{"no account", vpc, []string{region}, []string{`vpcId: .* needs an account and a region`}},
		{"no region", vpc, []string{account}, []string{`vpcId: .* needs an account and a region`}},
		{"lookup", noSuchVPC, []string{account, region}, []string{`vpcId: .* failed: Could not find any VPCs; `}},
		{"no Node.js", nil, []string{"PATH=" + t.TempDir()},
			[]string{`Node\.js, which the CDK runs on, is not there: .*; start the CDK with make or npx`}},
		{"the directory is a file", nil, []string{"CDK_OUTDIR=" + file},
			[]string{`the directory for the assembly: .*file: not a directory; give another one`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			outdir := t.TempDir()
			must.OK(t, os.WriteFile(filepath.Join(outdir, "manifest.json"), []byte("the last one"), 0o644))
			code, stderr := runApp(t, outdir, c.changes, c.more...)
			want := regexp.MustCompile("^" + strings.Join(c.want, ".*\n") + ".*\n$")
			if code != 1 || !want.MatchString(stderr) {
				t.Errorf("exit code %d, stderr does not match %s:\n%s", code, want, stderr)
			}
			entries, err := os.ReadDir(outdir)
			must.OK(t, err)
			if len(entries) != 1 || cdkcontext.Files(t, outdir)["manifest.json"] != "the last one" {
				t.Errorf("the directory now holds %v", entries)
			}
		})
	}
}

// noted returns an imported VPC about which the CDK has something to say: its subnets lack route
// tables.
func noted() map[string]any {
	key := cdkcontext.VPCKey(cdkcontext.Region, cdkcontext.VPC)
	vpc := cdkcontext.Lookups(cdkcontext.Region)[key].(map[string]any)
	for _, group := range vpc["subnetGroups"].([]any) {
		for _, subnet := range group.(map[string]any)["subnets"].([]any) {
			delete(subnet.(map[string]any), "routeTableId")
		}
	}
	return map[string]any{"vpcId": cdkcontext.VPC, key: vpc}
}

func TestTheReportIsWhereTheCDKSaysItIs(t *testing.T) {
	report := filepath.Join(t.TempDir(), "cdk.out", "validation-report.json")
	code, stderr := runApp(t, filepath.Dir(report), noted(), "CDK_DEFAULT_ACCOUNT="+cdkcontext.Account,
		"CDK_DEFAULT_REGION="+cdkcontext.Region)
	// The CDK says it relative to the current directory where that is shorter.
	_, said, _ := strings.Cut(stderr, "A copy of this report can be found in: ")
	said, _, _ = strings.Cut(said, "\n")
	there, err := filepath.Abs(said)
	if _, missing := os.Stat(report); code != 0 || err != nil || missing != nil || there != report ||
		strings.Contains(stderr, "abnormal") {
		t.Errorf("exit code %d, %v, %v: %q:\n%s", code, err, missing, there, stderr)
	}
}

func TestPasswordsInTheEnvironmentStayThere(t *testing.T) {
	const password = "never-to-be-written-anywhere"
	for _, c := range []struct {
		credentials, variable, want string
		hashes                      int
	}{
		{"image", "SQUIDFLEET_PASSWORD", "", 1},
		// Somebody forgot credentials=image, or has the variable set for another fleet.
		{"secretsmanager", "SQUIDFLEET_PASSWORD_PROXY", "warning: SQUIDFLEET_PASSWORD_PROXY: is not used, ", 0},
	} {
		outdir := t.TempDir()
		changes := map[string]any{"credentials": c.credentials, "clientCidrs": "192.5.6.0/24"}
		code, stderr := runApp(t, outdir, changes, c.variable+"="+password)
		if code != 0 || !strings.HasPrefix(stderr, c.want) {
			t.Fatalf("%s: exit code %d: %s", c.credentials, code, stderr)
		}
		written := cdkcontext.Files(t, outdir)
		written["stderr"] = stderr
		hashes := 0
		for name, text := range written {
			if strings.Contains(text, password) {
				t.Errorf("%s: %s holds the password", c.credentials, name)
			}
			if filepath.Base(name) == "passwords" && strings.HasPrefix(text, "proxy:squidfleet:") {
				hashes++
			}
		}
		if hashes != c.hashes || len(written) < 10 {
			t.Errorf("%s: %d password files among %d", c.credentials, hashes, len(written))
		}
	}
}

func TestInterruptedSynthLeavesNothingBehind(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		to     int // the app, or its process group
		want   int
	}{
		// As a terminal does on Ctrl-C: Node.js and the Go compiler get it too.
		{"Ctrl-C", syscall.SIGINT, -1, 130},
		{"SIGTERM to all", syscall.SIGTERM, -1, 143},
		{"SIGTERM to the app", syscall.SIGTERM, 1, 143},
	} {
		t.Run(c.name, func(t *testing.T) {
			temporary, outdir := t.TempDir(), filepath.Join(t.TempDir(), "cdk.out")
			command, stderr := appCommand(t, outdir, nil, "TMPDIR="+temporary)
			command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			must.OK(t, command.Start())
			staged := func() []string {
				found, _ := filepath.Glob(filepath.Join(temporary, "squidfleet-image-*"))
				return found
			}
			for deadline := time.Now().Add(time.Minute); len(staged()) == 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					command.Process.Kill()
					t.Fatal("nothing was ever staged")
				}
			}
			must.OK(t, syscall.Kill(c.to*command.Process.Pid, c.signal))
			command.Wait()
			code := command.ProcessState.ExitCode()
			if code != c.want || strings.Contains(stderr.String(), "goroutine") {
				t.Errorf("exit code %d, want %d; stderr:\n%s", code, c.want, stderr)
			}
			if _, err := os.Stat(outdir); !os.IsNotExist(err) || len(staged()) != 0 {
				t.Errorf("left behind: %v, %s: %v", staged(), outdir, err)
			}
		})
	}
}

func TestSynthWithTheCLI(t *testing.T) {
	outdir := filepath.Join(t.TempDir(), "cdk.out")
	output, err := cdk(t, nil, "synth", "--quiet", "--output", outdir, "-c", "fleetSize=3", "-c", "users=alice,bob")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	bad := regexp.MustCompile(`(?i).*(warn|error|deprecat|abnormal|!!).*`).FindAllString(output, -1)
	// The default clientCidrs are a documentation range.
	if len(bad) != 1 || !strings.Contains(bad[0], "clientCidrs") || !strings.Contains(bad[0], "203.0.113.0/24") {
		t.Errorf("synth prints %q", bad)
	}
	template := cdkcontext.Files(t, outdir)["Squidfleet-Proxy.template.json"]
	for _, want := range []string{`"Service3": {`, `"alice,bob"`} {
		if !strings.Contains(template, want) {
			t.Errorf("the template does not show %s", want)
		}
	}
}

// The example of mistakes in the README is what the CLI really says.
func TestTheREADMEsMistakes(t *testing.T) {
	text, err := os.ReadFile("README.md")
	must.OK(t, err)
	example := regexp.MustCompile(`    \$ npx cdk (synth -c .*)\n((?:    .*\n)+)`).FindStringSubmatch(string(text))
	if example == nil {
		t.Fatal("the README has no example of mistakes")
	}
	output, err := cdk(t, nil, strings.Fields(example[1])...)
	got := regexp.MustCompile(`(?m)^`).ReplaceAllString(strings.TrimSuffix(output, "\n"), "    ") + "\n"
	if err == nil || got != example[2] {
		t.Errorf("%v: the README shows\n%s\ninstead of\n%s", err, example[2], got)
	}
}

func TestCdkJSONHasTheFeatureFlagsThatTheCLIRecommends(t *testing.T) {
	flags, err := cdkcontext.Case{}.Context()
	must.OK(t, err)
	maps.DeleteFunc(flags, func(key string, _ any) bool { return !strings.HasPrefix(key, "@aws-cdk") })
	var want map[string]any
	text, err := os.ReadFile("node_modules/aws-cdk/lib/init-templates/.recommended-feature-flags.json")
	must.OK(t, err)
	must.OK(t, json.Unmarshal(text, &want))
	if len(want) < 50 || !reflect.DeepEqual(flags, want) {
		t.Errorf("cdk.json has %v, recommended are %v", flags, want)
	}
	if flags["@aws-cdk/core:validateAgainstDefaultRules"] != true {
		t.Error("what AWS would refuse is only a warning")
	}
}

func TestToolsArePinned(t *testing.T) {
	var manifest struct{ Dependencies, DevDependencies, OptionalDependencies map[string]string }
	text, err := os.ReadFile("package.json")
	must.OK(t, err)
	must.OK(t, json.Unmarshal(text, &manifest))
	all := manifest.DevDependencies
	maps.Copy(all, manifest.Dependencies)
	maps.Copy(all, manifest.OptionalDependencies)
	for name, version := range all {
		if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(version) {
			t.Errorf("%s: %s is not an exact version", name, version)
		}
	}
	lock, err := os.ReadFile("package-lock.json")
	must.OK(t, err)
	if len(all) == 0 || bytes.Contains(lock, []byte(`"resolved"`)) || !bytes.Contains(lock, []byte(`"integrity"`)) {
		t.Errorf("%d packages are pinned; the lock file names a registry, or has no hashes", len(all))
	}
}
