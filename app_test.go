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

	"squidfleet/internal/awsstandin"
	"squidfleet/internal/cfnspec"
	"squidfleet/params"
)

// app is the built program.
var app string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if _, err := os.Stat("node_modules/.bin/cdk"); err != nil {
		fmt.Fprintln(os.Stderr, "the npm packages are missing: run npm ci:", err)
		return 1
	}
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

// file is what the tests read of cdk.json.
type file struct {
	App     string
	Context map[string]any
}

func cdkJSON(t *testing.T) file {
	t.Helper()
	text, err := os.ReadFile("cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// isCDKs tells the feature flags from the parameters.
func isCDKs(key string) bool { return strings.HasPrefix(key, "@aws-cdk") }

// runApp runs the program as the CDK CLI does.
func runApp(t *testing.T, outdir string, changes map[string]any, environment ...string) (code int, stdout, stderr string) {
	t.Helper()
	command, out, errs := appCommand(t, outdir, changes, environment...)
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String(), errs.String()
}

// baseEnvironment returns this process's without what the app reads in it.
func baseEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "SQUIDFLEET_") || strings.HasPrefix(entry, "CDK_")
	})
}

func appCommand(t *testing.T, outdir string, changes map[string]any, environment ...string) (command *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	context := cdkJSON(t).Context
	maps.Copy(context, changes)
	text, err := json.Marshal(context)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := filepath.Abs("node_modules/.bin")
	if err != nil {
		t.Fatal(err)
	}
	command = exec.Command(app)
	command.Env = append(baseEnvironment(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "CDK_OUTDIR="+outdir, "CDK_CONTEXT_JSON="+string(text), "JSII_DEPRECATED=fail")
	command.Env = append(command.Env, environment...)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	command.Stdout, command.Stderr = stdout, stderr
	return command, stdout, stderr
}

func TestErrorsAreToldOneALineAndTheLastAssemblyStaysAsItWas(t *testing.T) {
	const vpc = "vpc-0123456789abcdef0"
	for _, c := range []struct {
		name        string
		changes     map[string]any
		want        []string
		environment []string
	}{
		{"parameters", map[string]any{"clientCidrs": "192.5.6.0/24,10.0.0.0/33", "fleetSze": "3", "users": []any{"a:b"}}, []string{
			`^clientCidrs\[1\]: .*10\.0\.0\.0/33`, `^users\[0\]: .*a:b`, `^fleetSze: .*fleetSize`,
		}, nil},
		{"passwords", map[string]any{"credentials": "image", "users": "alice,bob"}, []string{`^SQUIDFLEET_PASSWORD_ALICE: `, `^SQUIDFLEET_PASSWORD_BOB: `}, nil},
		{"VPC", map[string]any{"vpcId": vpc}, []string{`^vpcId: .* needs an account and a region`}, nil},
		{"lookup", map[string]any{"vpcId": vpc, "vpc-provider:account=123456789012:filter.vpc-id=" + vpc + ":region=eu-west-1:returnAsymmetricSubnets=true:returnVpnGateways=false": map[string]any{
			"$providerError": "Could not find any VPCs"}}, []string{`^vpcId: .* failed: Could not find any VPCs; `}, []string{"CDK_DEFAULT_ACCOUNT=123456789012", "CDK_DEFAULT_REGION=eu-west-1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			outdir := filepath.Join(t.TempDir(), "cdk.out")
			if err := os.Mkdir(outdir, 0o755); err != nil {
				t.Fatal(err)
			}
			last := filepath.Join(outdir, "manifest.json")
			if err := os.WriteFile(last, []byte("of the last synth"), 0o644); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := runApp(t, outdir, c.changes, c.environment...)
			if code != 1 || stdout != "" {
				t.Errorf("exit code %d, stdout %q", code, stdout)
			}
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("%d lines, want %d:\n%s", len(lines), len(c.want), stderr)
			}
			for i, want := range c.want {
				if !regexp.MustCompile(want).MatchString(lines[i]) {
					t.Errorf("line %q, want %s", lines[i], want)
				}
			}
			entries, err := os.ReadDir(outdir)
			if err != nil || len(entries) != 1 {
				t.Errorf("the directory now holds %v, %v", entries, err)
			}
			if text, err := os.ReadFile(last); string(text) != "of the last synth" {
				t.Errorf("the last assembly became %q, %v", text, err)
			}
		})
	}
}

func TestTheReportIsWhereTheCDKSaysItIs(t *testing.T) {
	outdir := filepath.Join(t.TempDir(), "cdk.out")
	code, _, stderr := runApp(t, outdir, nil)
	want := "A copy of this report can be found in: " + filepath.Join(outdir, "validation-report.json") + "\n"
	if _, err := os.Stat(filepath.Join(outdir, "validation-report.json")); code != 0 || err != nil || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, %v:\n%s", code, err, stderr)
	}
	if strings.Contains(stderr, "abnormal") {
		t.Errorf("an end in order is told as abnormal:\n%s", stderr)
	}
}

func TestErrorsLeaveNoNewDirectoryBehind(t *testing.T) {
	outdir := filepath.Join(t.TempDir(), "cdk.out")
	if code, _, stderr := runApp(t, outdir, map[string]any{"fleetSize": 0}); code != 1 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if _, err := os.Stat(outdir); !os.IsNotExist(err) {
		t.Errorf("%s is there: %v", outdir, err)
	}
}

func TestFaultsOfTheMachineAreToldInOneLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, outdir, environment, want string }{
		{"the directory is a file", file, "", `^the directory for the assembly: .*file: not a directory; give another one`},
		{"no Node.js", filepath.Join(dir, "cdk.out"), "PATH=" + dir, `^Node\.js, which the CDK runs on, is not there: .*; start the CDK with make or npx`},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runApp(t, c.outdir, nil, c.environment)
			if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !regexp.MustCompile(c.want).MatchString(stderr) {
				t.Errorf("exit code %d, stdout %q, stderr:\n%s", code, stdout, stderr)
			}
		})
	}
}

// The CLI runs the app twice here: to learn what to look up, and with the answer, which is that the lookup failed.
func TestAWrongVpcIdLeavesTheLastAssemblyAsItWas(t *testing.T) {
	spec, err := cfnspec.Load(".")
	if err != nil {
		t.Fatal(err)
	}
	aws, err := awsstandin.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer aws.Close()
	outdir := filepath.Join(t.TempDir(), "cdk.out")
	synth := func(arguments ...string) (string, error) {
		command := cdkCommand(append([]string{"synth", "--quiet", "--app", app, "--output", outdir}, arguments...)...)
		for _, entry := range aws.Environment(t.TempDir()) {
			// What the CLI needs of the machine is in the environment already.
			if strings.HasPrefix(entry, "AWS_") {
				command.Env = append(command.Env, entry)
			}
		}
		output, err := command.CombinedOutput()
		return string(output), err
	}
	if output, err := synth(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	before := snapshot(t, outdir)
	output, err := synth("-c", "vpcId=vpc-0123456789abcdef0")
	if err == nil || !regexp.MustCompile(`(?m)^vpcId: looking up "vpc-0123456789abcdef0" in account `+awsstandin.Account+` .* failed: `).MatchString(output) {
		t.Errorf("%v\n%s", err, output)
	}
	if after := snapshot(t, outdir); len(before) < 10 || !maps.Equal(after, before) {
		t.Errorf("the assembly of\n%q\nbecame\n%q", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	}
}

// snapshot returns the content of every file below dir, by path.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			files[path] = "a directory"
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPasswordsInTheEnvironmentStayThere(t *testing.T) {
	const common, own = "never-to-be-written-anywhere", "nor-is-this-one-ever-written"
	for _, c := range []struct {
		credentials string
		environment []string
		hashes      int
		want        string
	}{
		{"image", []string{"SQUIDFLEET_PASSWORD=" + common}, 1, ""},
		{"image", []string{"SQUIDFLEET_PASSWORD_PROXY=" + own}, 1, ""},
		// Somebody forgot credentials=image, or has the variables set for another fleet.
		{"secretsmanager", []string{"SQUIDFLEET_PASSWORD=" + common, "SQUIDFLEET_PASSWORD_PROXY=" + own}, 0, "warning: SQUIDFLEET_PASSWORD: is not used, "},
	} {
		t.Run(c.credentials, func(t *testing.T) {
			outdir := filepath.Join(t.TempDir(), "cdk.out")
			code, stdout, stderr := runApp(t, outdir, map[string]any{"credentials": c.credentials}, c.environment...)
			if code != 0 || !strings.HasPrefix(stderr, c.want) {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			written := snapshot(t, outdir)
			written["stdout"], written["stderr"] = stdout, stderr
			hashes := 0
			for name, text := range written {
				if strings.Contains(text, common) || strings.Contains(text, own) {
					t.Errorf("%s holds the password", name)
				}
				if filepath.Base(name) == "passwords" && strings.HasPrefix(text, "proxy:squidfleet:") {
					hashes++
				}
			}
			if hashes != c.hashes || len(written) < 10 {
				t.Errorf("%d password files among %d", hashes, len(written))
			}
		})
	}
}

func TestInterruptedSynthLeavesNothingBehind(t *testing.T) {
	for _, c := range []struct {
		name  string
		send  func(pid int) error
		wants int
	}{
		// As a terminal does on Ctrl-C: Node.js and the Go compiler have it, too.
		{"Ctrl-C", func(pid int) error { return syscall.Kill(-pid, syscall.SIGINT) }, 130},
		{"SIGTERM to all", func(pid int) error { return syscall.Kill(-pid, syscall.SIGTERM) }, 143},
		{"SIGTERM to the app", func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }, 143},
	} {
		t.Run(c.name, func(t *testing.T) {
			temporary, outdir := t.TempDir(), filepath.Join(t.TempDir(), "cdk.out")
			command, _, stderr := appCommand(t, outdir, nil, "TMPDIR="+temporary)
			command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			staged := func() []string {
				found, err := filepath.Glob(filepath.Join(temporary, "squidfleet-image-*"))
				if err != nil {
					t.Fatal(err)
				}
				return found
			}
			for deadline := time.Now().Add(time.Minute); len(staged()) == 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					command.Process.Kill()
					t.Fatal("nothing was ever staged")
				}
			}
			if err := c.send(command.Process.Pid); err != nil {
				t.Error(err)
			}
			command.Wait()
			if code := command.ProcessState.ExitCode(); code != c.wants {
				t.Errorf("exit code %d, want %d", code, c.wants)
			}
			if strings.Contains(stderr.String(), "goroutine") {
				t.Errorf("stack trace:\n%s", stderr)
			}
			if left := staged(); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			if _, err := os.Stat(outdir); !os.IsNotExist(err) {
				t.Errorf("%s is there: %v", outdir, err)
			}
		})
	}
}

// cdk runs the CDK CLI as a person does, in the project's directory.
func cdk(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := cdkCommand(arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("cdk %q: %v\n%s", arguments, err, output)
	}
	return string(output)
}

func cdkCommand(arguments ...string) *exec.Cmd {
	command := exec.Command("npx", append([]string{"--no-install", "cdk"}, arguments...)...)
	command.Env = append(baseEnvironment(), "CDK_DISABLE_CLI_TELEMETRY=true", "AWS_EC2_METADATA_DISABLED=true")
	return command
}

func TestSynthWithTheCLIShowsTheParametersInTemplateAndImage(t *testing.T) {
	outdir := filepath.Join(t.TempDir(), "cdk.out")
	output := cdk(t, "synth", "--quiet", "--output", outdir, "-c", "clientCidrs=192.5.6.7/32", "-c", "fleetSize=3", "-c", "users=alice,bob")
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "npm ") && regexp.MustCompile(`(?i)warn|error|deprecat|abnormal|!!`).MatchString(line) {
			t.Errorf("synth prints %s", line)
		}
	}
	template, err := os.ReadFile(filepath.Join(outdir, "Squidfleet-Proxy.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"192.5.6.7/32"`, `"DesiredCount": 3`, `"alice,bob"`} {
		if !bytes.Contains(template, []byte(want)) {
			t.Errorf("the template does not show %s", want)
		}
	}
	for name, want := range map[string]string{"squid.conf": "acl clients src 192.5.6.7/32\n", "Dockerfile": "FROM ", "entrypoint": "\x7fELF"} {
		found, _ := filepath.Glob(filepath.Join(outdir, "asset.*", name))
		if len(found) != 1 {
			t.Errorf("%s is there %d times", name, len(found))
			continue
		}
		if text, err := os.ReadFile(found[0]); !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s does not hold %q, %v", name, want, err)
		}
	}
}

func TestSynthWithTheCLIWarnsOfTheDocumentationRangeOnce(t *testing.T) {
	output := cdk(t, "synth", "--quiet", "--output", filepath.Join(t.TempDir(), "cdk.out"))
	warnings := 0
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "npm ") && strings.Contains(strings.ToLower(line), "warning") {
			warnings++
			if !strings.Contains(line, "clientCidrs") || !strings.Contains(line, "203.0.113.0/24") {
				t.Errorf("synth warns: %s", line)
			}
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings:\n%s", warnings, output)
	}
}

// The example of mistakes in the README is what the CLI really says.
func TestTheREADMEsMistakes(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "    $ npx cdk synth ")
	example, _, ok2 := strings.Cut(example, "\n\n")
	if !ok || !ok2 {
		t.Fatal("the README has no example of mistakes")
	}
	arguments, want, _ := strings.Cut(example, "\n")
	output, err := cdkCommand(append([]string{"synth"}, strings.Fields(arguments)...)...).CombinedOutput()
	if err == nil {
		t.Fatal("the example is no mistake")
	}
	var said []string
	for line := range strings.Lines(string(output)) {
		if !strings.HasPrefix(line, "npm ") {
			said = append(said, "    "+strings.TrimSuffix(line, "\n"))
		}
	}
	if got := strings.Join(said, "\n"); got != want {
		t.Errorf("the README shows\n%s\ninstead of\n%s", want, got)
	}
}

func TestCdkJSONListsEveryParameterWithItsDefault(t *testing.T) {
	given := map[string]any{}
	for key, value := range cdkJSON(t).Context {
		if !isCDKs(key) {
			given[key] = value
		}
	}
	fromFile, err := params.Parse(given)
	if err != nil {
		t.Fatal(err)
	}
	defaults, err := params.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromFile, defaults) {
		t.Errorf("cdk.json means %+v, the defaults are %+v", fromFile, defaults)
	}
	rows := regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\|").FindAllStringSubmatch(params.Table(), -1)
	if len(rows) != len(given) {
		t.Errorf("cdk.json lists %d parameters of %d", len(given), len(rows))
	}
	for _, row := range rows {
		if _, listed := given[row[1]]; !listed {
			t.Errorf("cdk.json does not list %s", row[1])
		}
	}
}

func TestCdkJSONHasTheFeatureFlagsThatTheCLIRecommends(t *testing.T) {
	text, err := os.ReadFile("node_modules/aws-cdk/lib/init-templates/.recommended-feature-flags.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got := cdkJSON(t).Context
	maps.DeleteFunc(got, func(key string, _ any) bool { return !isCDKs(key) })
	if len(want) < 50 || !reflect.DeepEqual(got, want) {
		t.Errorf("cdk.json has %v, recommended are %v", got, want)
	}
	if got["@aws-cdk/core:validateAgainstDefaultRules"] != true {
		t.Error("what AWS would refuse is a warning only")
	}
}

func TestToolsArePinned(t *testing.T) {
	text, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Dependencies, DevDependencies, OptionalDependencies map[string]string }
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	pinned := 0
	for _, list := range []map[string]string{manifest.Dependencies, manifest.DevDependencies, manifest.OptionalDependencies} {
		for name, version := range list {
			pinned++
			if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(version) {
				t.Errorf("%s: %s is not an exact version", name, version)
			}
		}
	}
	if pinned == 0 {
		t.Error("nothing is pinned")
	}
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(lock, []byte(`"resolved"`)) || !bytes.Contains(lock, []byte(`"integrity"`)) {
		t.Error("the lock file names a registry, or has no hashes")
	}
}
