package stacks

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNoLambdaAndNoCustomResource(t *testing.T) {
	checked := 0
	for name, changes := range everyFleet {
		for stack, template := range synth(t, changes).templates {
			for id, r := range template.Resources {
				checked++
				if strings.HasPrefix(r.Type, "Custom::") || strings.HasPrefix(r.Type, "AWS::CloudFormation::") || strings.HasPrefix(r.Type, "AWS::Lambda::") || strings.HasPrefix(r.Type, "AWS::CDK::") {
					t.Errorf("%s, %s: %s is a %s", name, stack, id, r.Type)
				}
			}
		}
	}
	if checked < 100 {
		t.Errorf("checked %d resources", checked)
	}
}

func TestNothingHasANameOfItsOwn(t *testing.T) {
	names := []string{
		"Name", "ClusterName", "ServiceName", "LogGroupName", "GroupName", "SecurityGroupName", "RoleName", "LoadBalancerName", "TargetGroupName", "QueueName", "Family", "BucketName", "FunctionName",
	}
	checked := 0
	for name, changes := range everyFleet {
		for _, template := range synth(t, changes).templates {
			for id, r := range template.Resources {
				for _, property := range names {
					checked++
					// A reference to another resource is no name.
					if value, literal := r.Properties[property].(string); literal {
						t.Errorf("%s: %s, a %s, has %s %q", name, id, r.Type, property, value)
					}
				}
			}
		}
	}
	if checked < 100*len(names) {
		t.Errorf("checked %d properties", checked)
	}
}

func TestWhatHoldsDataGoesWithTheStack(t *testing.T) {
	checked := 0
	for name, changes := range everyFleet {
		for id, r := range synth(t, changes).proxy.Resources {
			switch r.Type {
			case "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup", "AWS::SQS::Queue":
				checked++
				if r.DeletionPolicy != "Delete" || r.UpdateReplacePolicy != "Delete" {
					t.Errorf("%s: %s: deletion %q, replacement %q", name, id, r.DeletionPolicy, r.UpdateReplacePolicy)
				}
			default:
				if r.DeletionPolicy != "" && r.DeletionPolicy != "Delete" {
					t.Errorf("%s: %s stays behind: %s", name, id, r.DeletionPolicy)
				}
			}
		}
	}
	if checked < 9 {
		t.Errorf("checked %d resources", checked)
	}
}

func TestTwoFleetsLiveSideBySide(t *testing.T) {
	a := synth(t, nil, map[string]any{"stackName": "Second", "fleetSize": 3.0})
	var stacks []string
	for stack, template := range a.templates {
		stacks = append(stacks, stack)
		for id, output := range template.Outputs {
			if output.Export != nil {
				t.Errorf("%s exports %s", stack, id)
			}
		}
	}
	slices.Sort(stacks)
	if want := []string{"Second-Network", "Second-Proxy", "Squidfleet-Network", "Squidfleet-Proxy"}; !slices.Equal(stacks, want) {
		t.Fatalf("stacks %v, want %v", stacks, want)
	}
	// What the second fleet's proxy refers to is the second fleet's.
	text := indented(t, a.templates["Second-Proxy"])
	if strings.Contains(text, "Squidfleet-") || !strings.Contains(text, "Second-Network") {
		t.Error("the second fleet's proxy refers to the first fleet's stacks")
	}
	_, service := a.templates["Second-Proxy"].only(t, "AWS::ECS::Service")
	if service["DesiredCount"] != 3.0 {
		t.Errorf("the second fleet has %v tasks", service["DesiredCount"])
	}
}

func TestImageHoldsWhatTheParametersSay(t *testing.T) {
	a := synth(t, map[string]any{"clientCidrs": "198.51.100.7/32", "fleetSize": "3", "users": "alice,bob"}) // as -c gives them
	for _, name := range []string{"Dockerfile", "entrypoint", "squid.conf", "localtime"} {
		if a.file(t, name) == "" {
			t.Errorf("%s is empty", name)
		}
	}
	if got := aclValues(t, a.file(t, "squid.conf"), "clients", "src"); len(got) != 1 || got[0].String() != "198.51.100.7/32" {
		t.Errorf("squid.conf admits %v", got)
	}
	_, service := a.proxy.only(t, "AWS::ECS::Service")
	if service["DesiredCount"] != 3.0 {
		t.Errorf("%v tasks", service["DesiredCount"])
	}
	if secrets := a.proxy.ids("AWS::SecretsManager::Secret"); len(secrets) != 3 { // a password each, and the key of the nonces
		t.Errorf("secrets %v", secrets)
	}
}

func TestTaskRunsTheStagedImage(t *testing.T) {
	for name, changes := range everyFleet {
		a := synth(t, changes)
		hash := strings.TrimPrefix(filepath.Base(a.image), "asset.")
		const registry = "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}:"
		want := `{"Fn::Sub": "` + registry + hash + `"}`
		if a.params.VpcID != "" { // account and region are known
			repository := "cdk-hnb659fds-container-assets-" + account + "-" + region
			want = `{"Fn::Sub": "` + account + ".dkr.ecr." + region + ".${AWS::URLSuffix}/" + repository + ":" + hash + `"}`
		}
		equal(t, name, a.proxy.container(t)["Image"], want)
	}
}

func TestImageIsBuiltForTheTasksArchitecture(t *testing.T) {
	for name, want := range map[string]string{"default": "linux/amd64", "full": "linux/arm64"} {
		a := synth(t, everyFleet[name])
		manifest, err := os.ReadFile(filepath.Join(a.dir, a.params.StackName+"-Proxy.assets.json"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(manifest, []byte(`"platform": "`+want+`"`)) {
			t.Errorf("%s: the image is not for %s", name, want)
		}
	}
}

// files returns the content of every file below dir by its path in dir.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		relative, _ := filepath.Rel(dir, path)
		all[relative] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSameParametersGiveTheSameAssembly(t *testing.T) {
	first := files(t, synth(t, full).dir)
	second := files(t, synthTo(t, filepath.Join(t.TempDir(), "somewhere", "else"), full).dir)
	if len(first) < 50 || len(first) != len(second) {
		t.Errorf("%d files, then %d", len(first), len(second))
	}
	for name, text := range first {
		if second[name] != text {
			t.Errorf("%s differs", name)
		}
		for _, trace := range []string{assemblies, os.TempDir() + "/", "jsii-kernel"} {
			if strings.Contains(text, trace) && !strings.HasSuffix(name, "/entrypoint") {
				t.Errorf("%s holds %q, a path of this machine", name, trace)
			}
		}
	}
}
