package lifecycle

import (
	"testing"

	"squidfleet/internal/cfnspec"
)

// TestSpecificationOfTheInstalledCLI compares the CLI's data with what CloudFormation's
// documentation says of these properties.
func TestSpecificationOfTheInstalledCLI(t *testing.T) {
	spec, err := cfnspec.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(spec) < 1000 {
		t.Errorf("%d types", len(spec))
	}
	for _, want := range []struct {
		resource, property string
		replaces           cfnspec.Replacement
		required           bool
	}{
		{"AWS::ECS::Service", "Cluster", cfnspec.Always, false},
		{"AWS::ECS::Service", "DesiredCount", cfnspec.Never, false},
		{"AWS::EC2::VPC", "CidrBlock", cfnspec.Always, false},
		{"AWS::EC2::VPC", "InstanceTenancy", cfnspec.Sometimes, false},
		{"AWS::IAM::Role", "AssumeRolePolicyDocument", cfnspec.Never, true},
	} {
		got, known := spec[want.resource].Properties[want.property]
		if !known || got.Replaces != want.replaces || got.Required != want.required {
			t.Errorf("%s.%s: known %v, %+v, want %+v", want.resource, want.property, known, got, want)
		}
	}
	if _, known := spec["AWS::EC2::SecurityGroup"].Attributes["GroupId"]; !known {
		t.Error("a security group has no attribute GroupId")
	}
}
