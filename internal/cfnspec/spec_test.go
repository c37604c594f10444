package cfnspec

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a database of a text, compressed, and returns the directory above node_modules.
func write(t *testing.T, text string) string {
	t.Helper()
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	if _, err := writer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	path := filepath.Join(root, Database)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, zipped.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

const entities = `{"schema": {"resource": {"entities": [
	{"cloudFormationType": "AWS::ECS::Service",
		"properties": {"Cluster": {"causesReplacement": "yes"}, "DesiredCount": {}},
		"primaryIdentifier": ["ServiceArn"]},
	{"cloudFormationType": "AWS::EC2::VPC", "properties": {"InstanceTenancy": {"causesReplacement": "maybe"}},
		"attributes": {"Ipv6CidrBlocks": {"type": {"type": "array"}}}},
	{"cloudFormationType": "AWS::IAM::Role",
		"properties": {"AssumeRolePolicyDocument": {"required": true}}}
]}}}`

func TestSpecificationIsRead(t *testing.T) {
	spec, err := Load(write(t, entities))
	if err != nil {
		t.Fatal(err)
	}
	service, vpc := spec["AWS::ECS::Service"], spec["AWS::EC2::VPC"]
	if service.Properties["Cluster"].Replaces != Always ||
		service.Properties["DesiredCount"].Replaces != Never || service.PrimaryIdentifier[0] != "ServiceArn" {
		t.Errorf("%+v", service)
	}
	if vpc.Properties["InstanceTenancy"].Replaces != Sometimes ||
		vpc.Attributes["Ipv6CidrBlocks"].Type.Name != "array" {
		t.Errorf("%+v", vpc)
	}
}

func TestAnotherDatabaseIsRefused(t *testing.T) {
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "npm ci") {
		t.Errorf("without a database: %v", err)
	}
	for text, want := range map[string]string{
		"": "EOF", "{}": "holds no AWS::ECS::Service",
		strings.Replace(entities, "AWS::IAM::Role", "AWS::IAM::User", 1): "holds no AWS::IAM::Role",
	} {
		if _, err := Load(write(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	root := write(t, entities)
	if err := os.WriteFile(filepath.Join(root, Database), []byte("not compressed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root); err == nil || !strings.Contains(err.Error(), "gzip") {
		t.Errorf("not compressed: %v", err)
	}
}
