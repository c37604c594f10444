package gate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/check"
)

// The faults beyond the templates are made in a copy of an assembly, by changing its files.
var fileFaults = []struct {
	name, set string
	rule      string // what finds it, as in a fault of a template
	change    func(t *testing.T, c copied)
}{
	{"no manifest", "", "manifest", func(t *testing.T, c copied) { c.remove(t, "manifest.json") }},
	{"a manifest that is no JSON", "", "manifest", func(t *testing.T, c copied) { c.edit(t, "manifest.json", `"artifacts"`, `artifacts`) }},
	{"a template missing", "", "manifest", func(t *testing.T, c copied) { c.remove(t, "Squidfleet-Network.template.json") }},
	{"an asset manifest missing", "", "manifest", func(t *testing.T, c copied) { c.remove(t, "Squidfleet-Proxy.assets.json") }},
	{"metadata missing", "", "manifest", func(t *testing.T, c copied) { c.remove(t, "Squidfleet-Proxy.metadata.json") }},
	{"no parameters", "", "stacks: belongs to no fleet", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", check.ParametersKey+`"`, `other"`)
	}},
	{"other parameters", "", "service", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", `"FleetSize": 2`, `"FleetSize": 3`)
	}},
	{"parameters that are none", "", "parameters", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", `"FleetSize": 2`, `"FleetSize": "two"`)
	}},
	{"parameters without a task", "", "parameters", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", `"FleetSize": 2`, `"FleetSize": 0`)
	}},
	{"parameters without a user", "", "parameters", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", `"Users": [
          "proxy"
        ]`, `"Users": []`)
	}},
	{"parameters that make no squid.conf", "", "squid.conf: the parameters and the network make none", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", `"Realm": "squidfleet"`, `"Realm": "squid\nfleet"`)
	}},
	{"parameters with a time zone that is none", "", "image: timezone", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", `"Timezone": "UTC"`, `"Timezone": "Nowhere/City"`)
	}},
	{"an error left by a construct", "", "annotation", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", `"aws:cdk:warning"`, `"aws:cdk:error"`)
	}},
	{"a validation that failed", "", "annotation", func(t *testing.T, c copied) { c.edit(t, "validation-report.json", `"success"`, `"failure"`) }},
	{"a stack that does not wait for the network's", "", "reference", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"Squidfleet-Network",
        "Squidfleet-Proxy.assets"`, `"Squidfleet-Proxy.assets"`)
	}},
	{"a dependency on nothing", "", "manifest: dependencies[0]", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"Squidfleet-Network",
        "Squidfleet-Proxy.assets"`, `"Squidfleet-Nets",
        "Squidfleet-Proxy.assets"`)
	}},
	{"assets that are not published first", "", "asset", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"Squidfleet-Network",
        "Squidfleet-Proxy.assets"`, `"Squidfleet-Network"`)
	}},
	{"assets that nothing waits for", "", "manifest: no stack depends on this asset manifest", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"Squidfleet-Network",
        "Squidfleet-Proxy.assets"`, `"Squidfleet-Network"`)
	}},
	{"a lookup that is pending", "", "pending-lookup", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"artifacts": {`, `"missing": [{"key": "vpc-provider:account=1:region=x", "provider": "vpc-provider", "props": {}}], "artifacts": {`)
	}},
	{"protected from destruction", "", "removal", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"terminationProtection": false`, `"terminationProtection": true`)
	}},
	{"another template published", "", "manifest: properties.stackTemplateAssetObjectUrl", func(t *testing.T, c copied) { c.edit(t, "manifest.json", `-${AWS::Region}/`, `-${AWS::Region}/0`) }},
	{"a template fetched from somebody else's bucket", "", "manifest: properties.stackTemplateAssetObjectUrl", func(t *testing.T, c copied) { c.edit(t, "manifest.json", `s3://cdk-`, `s3://other-`) }},
	{"another role for CloudFormation", "", "manifest: properties.cloudFormationExecutionRoleArn", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `role/cdk-hnb659fds-cfn-exec-role-`, `role/admin-`)
	}},
	{"another role for the CLI", "", "manifest: properties.assumeRoleArn", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `${AWS::AccountId}:role/cdk-hnb659fds-deploy-role-`, `666666666666:role/cdk-hnb659fds-deploy-role-`)
	}},
	{"parameters instead of the template's", "", "manifest: properties.parameters", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"validateOnSynth"`, `"parameters": {"BootstrapVersion": "/x"}, "validateOnSynth"`)
	}},
	{"somebody notified", "", "manifest: properties.notificationArns", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"validateOnSynth"`, `"notificationArns": ["arn:aws:sns:eu-west-1:666666666666:x"], "validateOnSynth"`)
	}},
	{"tags that no parameter asks for", "", "manifest: properties.tags", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"validateOnSynth"`, `"tags": {"a": "b"}, "validateOnSynth"`)
	}},
	{"another bootstrap", "", "template: Parameters.BootstrapVersion.Default", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `/cdk-bootstrap/hnb659fds/`, `/cdk-bootstrap/other/`)
	}},
	{"a version of the bootstrap from elsewhere", "", "manifest: properties.bootstrapStackVersionSsmParameter", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `/cdk-bootstrap/hnb659fds/version`, `/other/version`)
	}},
	{"an older bootstrap", "", "manifest: properties.requiresBootstrapStackVersion", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"requiresBootstrapStackVersion": 6`, `"requiresBootstrapStackVersion": 1`)
	}},
	{"assets for an older bootstrap", "", "manifest: properties.requiresBootstrapStackVersion", func(t *testing.T, c copied) {
		text := c.read(t, "manifest.json") // in which the assets come before their stack
		c.write(t, "manifest.json", strings.Replace(text, `"requiresBootstrapStackVersion": 6`, `"requiresBootstrapStackVersion": 1`, 1))
	}},
	{"no environment", "", "manifest: environment", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `aws://unknown-account/unknown-region`, `unknown`)
	}},
	{"the network in another region", "", "stacks: goes to account", func(t *testing.T, c copied) {
		text := c.read(t, "manifest.json")
		c.write(t, "manifest.json", strings.Replace(text, "unknown-account/unknown-region", "123456789012/us-east-1", 1))
	}},
	{"no stack", "", "manifest: artifacts: there is no stack", func(t *testing.T, c copied) { c.write(t, "manifest.json", `{"artifacts": {}}`) }},
	{"no stack for the network", "", "stacks: there is no stack", func(t *testing.T, c copied) {
		c.edit(t, "manifest.json", `"Squidfleet-Network": {`, `"Squidfleet-Nets": {`)
	}},
	{"the parameters of a fleet of another name", "", "stacks: the fleet's parameters call it", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", `"StackName": "Squidfleet"`, `"StackName": "Other"`)
	}},
	{"a file that nobody needs", "", "asset: files[0]: a fleet needs no file", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.assets.json", `"files": {`, `"files": {"0": {"source": {"path": "tree.json", "packaging": "file"}, "destinations": {}},`)
	}},
	{"a template as an archive", "", "asset: files[", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Network.assets.json", `"packaging": "file"`, `"packaging": "zip"`)
	}},
	{"a template published nowhere", "", "asset: files[", func(t *testing.T, c copied) { c.noDestinations(t, "Squidfleet-Network.assets.json", "files") }},
	{"a template published under another name", "", "asset: files[", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Network.assets.json", `"objectKey": "`, `"objectKey": "0`)
	}},
	{"a template published in somebody else's bucket", "", "asset: files[", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Network.assets.json", `"bucketName": "cdk-`, `"bucketName": "other-`)
	}},
	{"another role for publishing", "", "asset: files[", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Network.assets.json", `file-publishing-role`, `deploy-role`)
	}},
	{"a template published in another region", "imported", "asset: files[", func(t *testing.T, c copied) {
		c.edit(t, "Imported-Proxy.assets.json", `"region": "eu-west-1"`, `"region": "us-east-1"`)
	}},
	{"an image published nowhere", "", "asset: dockerImages[", func(t *testing.T, c copied) { c.noDestinations(t, "Squidfleet-Proxy.assets.json", "dockerImages") }},
	{"another role for publishing the image", "", "asset: dockerImages[", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.assets.json", `image-publishing-role`, `deploy-role`)
	}},
	{"a nested assembly", "", "manifest", func(t *testing.T, c copied) { c.edit(t, "manifest.json", `"cdk:tree"`, `"cdk:cloud-assembly"`) }},
	{"a template changed after synth", "", "asset-hash", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Network.template.json", `the network of`, `The network of`)
	}},
	{"a path that leads out", "", "manifest", func(t *testing.T, c copied) { c.edit(t, "manifest.json", `"tree.json"`, `"../tree.json"`) }},
	{"build arguments", "", "image: dockerImages[", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.assets.json", `"platform":`, `"dockerBuildArgs": {"PASSWORD": "x"}, "platform":`)
	}},
	{"an image for another platform", "", "image", func(t *testing.T, c copied) { c.edit(t, "Squidfleet-Proxy.assets.json", `linux/amd64`, `linux/arm64`) }},
	{"an image under another tag", "", "image", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.assets.json", `"imageTag": "`, `"imageTag": "latest`)
	}},
	{"an image in another repository", "", "container", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.assets.json", `"repositoryName": "cdk-`, `"repositoryName": "other-`)
	}},
	{"no image", "", "image: the assembly builds 0 images", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.assets.json", `"dockerImages": {`, `"dockerImages": {}, "others": {`)
	}},
	{"a build context changed after synth", "", "asset-hash: asset.", func(t *testing.T, c copied) {
		c.write(t, c.imageFile(t, "Dockerfile"), c.read(t, c.imageFile(t, "Dockerfile"))+"\n")
	}},
	{"no build context", "", "asset", func(t *testing.T, c copied) {
		if err := os.RemoveAll(c.image(t)); err != nil {
			t.Fatal(err)
		}
	}},
	{"no Dockerfile", "", "asset", func(t *testing.T, c copied) { c.remove(t, c.imageFile(t, "Dockerfile")) }},
	{"no squid.conf", "", "asset", func(t *testing.T, c copied) { c.remove(t, c.imageFile(t, "squid.conf")) }},
	{"no entrypoint", "", "asset", func(t *testing.T, c copied) { c.remove(t, c.imageFile(t, "entrypoint")) }},
	{"another Dockerfile", "", "image: Dockerfile: is not the one", func(t *testing.T, c copied) {
		c.edit(t, c.imageFile(t, "Dockerfile"), "--chown=10001:10001", "--chown=0:0")
	}},
	{"another way to collect the files", "", "image: collect.sh: is not the one", func(t *testing.T, c copied) {
		c.write(t, c.imageFile(t, "collect.sh"), c.read(t, c.imageFile(t, "collect.sh"))+"true\n")
	}},
	{"an error page changed", "", "image: errors/ERR_ACCESS_DENIED: is not the one", func(t *testing.T, c copied) {
		c.write(t, c.imageFile(t, "errors/ERR_ACCESS_DENIED"), "denied by %h")
	}},
	{"another time zone", "everything", "image: localtime: says", func(t *testing.T, c copied) {
		c.write(t, c.imageFile(t, "localtime"), copied(filepath.Join(parentOf(t, "default"), "cdk.out")).zone(t))
	}},
	{"a time zone that is none", "", "image: localtime: is no time zone", func(t *testing.T, c copied) { c.write(t, c.imageFile(t, "localtime"), "UTC") }},
	{"an entrypoint with libraries", "", "image: entrypoint: is linked", func(t *testing.T, c copied) {
		name := c.imageFile(t, "entrypoint")
		program := []byte(c.read(t, name))
		program[64] = 3 // the first segment's type: PT_INTERP
		c.write(t, name, string(program))
	}},
	{"users that no password file can hold", "image", "password: passwords: the parameters make none", func(t *testing.T, c copied) {
		c.edit(t, "Squidfleet-Proxy.metadata.json", `"bob"`, `"b:ob"`)
	}},
	{"no time zone", "", "asset: localtime: is missing", func(t *testing.T, c copied) { c.remove(t, c.imageFile(t, "localtime")) }},
	{"an error page missing", "", "asset", func(t *testing.T, c copied) { c.remove(t, c.imageFile(t, "errors/ERR_ACCESS_DENIED")) }},
	{"an empty entrypoint", "", "asset", func(t *testing.T, c copied) { c.write(t, c.imageFile(t, "entrypoint"), "") }},
	{"an entrypoint that is a script", "", "image", func(t *testing.T, c copied) { c.write(t, c.imageFile(t, "entrypoint"), "#!/bin/sh\n") }},
	{"an entrypoint for another architecture", "", "image", func(t *testing.T, c copied) {
		name := c.imageFile(t, "entrypoint")
		program := []byte(c.read(t, name))
		program[18] = 183 // e_machine: AArch64
		c.write(t, name, string(program))
	}},
	{"clients from anywhere in squid.conf", "", "squid.conf", func(t *testing.T, c copied) {
		c.edit(t, c.imageFile(t, "squid.conf"), "acl clients src 203.0.113.0/24", "acl clients src all")
	}},
	{"PROXY headers believed from anywhere", "", "squid.conf", func(t *testing.T, c copied) {
		c.edit(t, c.imageFile(t, "squid.conf"), "proxy_protocol_access allow load_balancer", "proxy_protocol_access allow all")
	}},
	{"another port in squid.conf", "", "squid.conf", func(t *testing.T, c copied) {
		c.edit(t, c.imageFile(t, "squid.conf"), "http_port 35201", "http_port 3128")
	}},
	{"the VPC not forbidden", "", "squid.conf", func(t *testing.T, c copied) {
		c.edit(t, c.imageFile(t, "squid.conf"), "acl forbidden dst 10.0.0.0/8\n", "")
	}},
	{"a file too many in the image", "", "asset", func(t *testing.T, c copied) { c.write(t, c.imageFile(t, ".env"), "TOKEN=x") }},
	{"a private key in the image", "", "secret", func(t *testing.T, c copied) { c.write(t, c.imageFile(t, "key.pem"), "-----BEGIN PRIVATE KEY-----\n") }},
	{"a password in the Dockerfile", "", "secret", func(t *testing.T, c copied) {
		c.edit(t, c.imageFile(t, "Dockerfile"), "FROM scratch", "FROM scratch\nENV PASSWORD=hunter2hunter2")
	}},
	{"a password file that should not be there", "", "asset", func(t *testing.T, c copied) {
		c.write(t, c.imageFile(t, "passwords"), "proxy:squidfleet:"+strings.Repeat("0", 32)+"\n")
	}},
	{"no password file", "image", "asset", func(t *testing.T, c copied) { c.remove(t, c.imageFile(t, "passwords")) }},
	{"a password in the clear", "image", "password", func(t *testing.T, c copied) {
		c.write(t, c.imageFile(t, "passwords"), "alice:a password of alice\nbob:a password of bob\n")
	}},
	{"a user without a hash", "image", "password", func(t *testing.T, c copied) {
		name := c.imageFile(t, "passwords")
		c.write(t, name, c.read(t, name)[strings.Index(c.read(t, name), "bob:"):])
	}},
	{"a link out of the image", "", "asset", func(t *testing.T, c copied) {
		if err := os.Symlink("/etc/passwd", filepath.Join(c.image(t), "link")); err != nil {
			t.Fatal(err)
		}
	}},
	{"a lookup that no fleet needs", "", "context: \"availability-zones", func(t *testing.T, c copied) {
		c.write(t, "../cdk.context.json", `{"availability-zones:account=123456789012:region=eu-west-1": ["eu-west-1a"]}`)
	}},
	{"no lookup of the imported VPC", "imported", "context", func(t *testing.T, c copied) { c.remove(t, "../cdk.context.json") }},
	{"the lookup of another account", "imported", "context", func(t *testing.T, c copied) {
		c.edit(t, "../cdk.context.json", ":account=123456789012:", ":account=210987654321:")
	}},
	{"a lookup in which the subnets have changed", "imported", "load-balancer", func(t *testing.T, c copied) { c.edit(t, "../cdk.context.json", "subnet-0b000001", "subnet-0d000001") }},
	{"a lookup in which a range has changed", "imported", "squid.conf", func(t *testing.T, c copied) { c.edit(t, "../cdk.context.json", "10.20.0.0/24", "10.20.9.0/24") }},
	{"a lookup in which the VPC has grown", "imported", "squid.conf", func(t *testing.T, c copied) { c.edit(t, "../cdk.context.json", "2600:1f18::/56", "2600:1f19::/56") }},
	{"a lookup that failed", "imported", "context: \"vpc-provider", func(t *testing.T, c copied) {
		c.edit(t, "../cdk.context.json", `{"availabilityZones":[]`, `{"$providerError":"AccessDenied","availabilityZones":[]`)
	}},
	{"lookups that are no JSON", "imported", "context: unexpected end", func(t *testing.T, c copied) { c.write(t, "../cdk.context.json", "{") }},
}

// TestEveryFileFaultIsFound changes the files of an assembly, one fault at a time.
func TestEveryFileFaultIsFound(t *testing.T) {
	for _, f := range fileFaults {
		set := f.set
		if set == "" {
			set = "default"
		}
		parent := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(parent, os.DirFS(parentOf(t, set))); err != nil {
			t.Fatal(err)
		}
		c := copied(filepath.Join(parent, "cdk.out"))
		f.change(t, c)
		a, findings := loadFrom(parent)
		findings = append(findings, check.Invariants(a)...)
		var rules, told []string
		for _, finding := range findings {
			rules, told = append(rules, finding.Rule), append(told, finding.Rule+": "+finding.Message)
			if strings.Contains(finding.String(), "\n") {
				t.Errorf("%s: a finding of two lines: %q", f.name, finding)
			}
		}
		slices.Sort(rules)
		rules = slices.Compact(rules)
		if !slices.ContainsFunc(told, fault{rule: f.rule}.expects) {
			t.Errorf("%s: found by %q, not by %s", f.name, told, f.rule)
		}
		t.Logf("%-50s %v", f.name, rules)
	}
	t.Logf("%d faults in files", len(fileFaults))
}

// copied is a copy of an assembly.
type copied string

func (c copied) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(string(c), name)); err != nil {
		t.Fatal(err)
	}
}

func (c copied) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(string(c), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (c copied) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(c), name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit replaces a text that has to be there.
func (c copied) edit(t *testing.T, name, old, now string) {
	t.Helper()
	text := c.read(t, name)
	if !strings.Contains(text, old) {
		t.Fatalf("%s does not hold %q", name, old)
	}
	c.write(t, name, strings.ReplaceAll(text, old, now))
}

// image returns the directory of the image's build context.
func (c copied) image(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(string(c), "asset.*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("build contexts %v, %v", names, err)
	}
	return names[0]
}

// zone returns the time zone in the image.
func (c copied) zone(t *testing.T) string {
	t.Helper()
	return c.read(t, c.imageFile(t, "localtime"))
}

// noDestinations takes out where the assets of a kind go.
func (c copied) noDestinations(t *testing.T, name, kind string) {
	t.Helper()
	var manifest map[string]map[string]map[string]any
	if err := json.Unmarshal([]byte(strings.Replace(c.read(t, name), `"version": "54.0.0",`, "", 1)), &manifest); err != nil {
		t.Fatal(err)
	}
	for _, asset := range manifest[kind] {
		asset["destinations"] = tree{}
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, name, string(text))
}

func (c copied) imageFile(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(filepath.Base(c.image(t)), name)
}
